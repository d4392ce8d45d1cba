"""Reading video: an index of each file, exact frames by number, a cache of decoded frames, and folders of frames.

Files are decoded by PyAV (``pip install steploop[video]``), which is imported when the first file is opened; folders of
frames need only Pillow.
"""

from .cache import FrameCache as FrameCache
from .decode import read_frames as read_frames
from .decode import scaled_size as scaled_size
from .frame_folder import FrameFolder as FrameFolder
from .index import VideoError as VideoError
from .index import VideoIndex as VideoIndex
from .index import index_video as index_video
from .index import load_index as load_index
from .shrink import shrink_video as shrink_video
from .time_limit import VideoTimeout as VideoTimeout
from .time_limit import time_limit as time_limit
