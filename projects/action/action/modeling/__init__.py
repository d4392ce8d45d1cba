"""Models of action recognition, and the weights of other libraries."""

from .build import BACKBONES as BACKBONES
from .build import HEADS as HEADS
from .build import build_recognizer as build_recognizer
from .checkpoint_names import convert as convert
from .checkpoint_names import family_of as family_of
from .inflate import inflate_2d as inflate_2d
from .recognizer import Recognizer3D as Recognizer3D
from .resnet3d import ResNet3d as ResNet3d
from .slowfast import ResNet3dSlowFast as ResNet3dSlowFast
