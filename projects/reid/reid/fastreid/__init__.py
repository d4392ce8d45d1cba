"""fast-reid's config files: recognised by their own keys, merged over fast-reid's defaults, translated once.

`defaults.py` has fast-reid's keys, `translate.py` the function from its settings to ours, with one table for each kind
of key, `reading.py` and `command_line.py` the way in.
"""

from .defaults import fastreid_defaults
from .reading import is_fastreid, read_config
from .translate import Translation, translate

__all__ = ["Translation", "fastreid_defaults", "is_fastreid", "read_config", "translate"]
