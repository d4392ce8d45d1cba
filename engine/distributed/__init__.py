"""Several processes: how they are started, how they find each other, and what they exchange.

`comm.py` is what everything else calls; `launch.py` starts the processes of one machine.
"""

from . import comm as comm
