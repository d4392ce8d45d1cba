"""Registries and the building blocks that more than one project uses.

`build.py` has the registries and the contract of a backbone, `backbones/` the feature extractors, `layers/` the layers
and operators of which they and the projects' models are made.
"""

from .backbones.efficientnet import EfficientNet as EfficientNet
from .backbones.efficientnet import build_effnet_backbone as build_effnet_backbone
from .backbones.mobilenetv2 import MobileNetV2 as MobileNetV2
from .backbones.mobilenetv2 import build_mobilenetv2_backbone as build_mobilenetv2_backbone
from .backbones.mobilenetv3 import MobileNetV3 as MobileNetV3
from .backbones.mobilenetv3 import build_mobilenetv3_backbone as build_mobilenetv3_backbone
from .backbones.osnet import OSNet as OSNet
from .backbones.osnet import build_osnet_backbone as build_osnet_backbone
from .backbones.regnet import RegNet as RegNet
from .backbones.regnet import build_regnet_backbone as build_regnet_backbone
from .backbones.repvgg import RepVGG as RepVGG
from .backbones.repvgg import build_repvgg_backbone as build_repvgg_backbone
from .backbones.resnest import ResNeSt as ResNeSt
from .backbones.resnest import build_resnest_backbone as build_resnest_backbone
from .backbones.resnet import ResNet as ResNet
from .backbones.resnet import build_resnet_backbone as build_resnet_backbone
from .backbones.resnext import build_resnext_backbone as build_resnext_backbone
from .backbones.shufflenetv2 import ShuffleNetV2 as ShuffleNetV2
from .backbones.shufflenetv2 import build_shufflenetv2_backbone as build_shufflenetv2_backbone
from .backbones.timm_backbone import TimmBackbone as TimmBackbone
from .backbones.timm_backbone import build_timm_backbone as build_timm_backbone
from .backbones.vit import VisionTransformer as VisionTransformer
from .backbones.vit import build_vit_backbone as build_vit_backbone
from .build import BACKBONE_REGISTRY as BACKBONE_REGISTRY
from .build import META_ARCH_REGISTRY as META_ARCH_REGISTRY
from .build import Backbone as Backbone
from .build import ShapeSpec as ShapeSpec
from .build import build_backbone as build_backbone
from .build import build_model as build_model
from .checkpoint_names import convert_names as convert_names
from .checkpoint_names import register_name_rules as register_name_rules
from .config import add_backbone_config as add_backbone_config
from .layers.norm import IBN as IBN
from .layers.norm import FrozenBatchNorm2d as FrozenBatchNorm2d
from .layers.norm import get_norm as get_norm
from .layers.pooling import AdaptiveAvgMaxPool as AdaptiveAvgMaxPool
from .layers.pooling import GeneralizedMeanPooling as GeneralizedMeanPooling
from .layers.pooling import GeneralizedMeanPoolingP as GeneralizedMeanPoolingP
from .layers.pooling import GlobalAvgPool as GlobalAvgPool
from .layers.pooling import GlobalMaxPool as GlobalMaxPool
from .layers.pooling import build_pooling as build_pooling
from .layers.precision import full_precision as full_precision
from .pretrained import PretrainedWeights as PretrainedWeights
from .pretrained import pretrained_parts as pretrained_parts
