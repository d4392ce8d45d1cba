"""Names of nuScenes' detection task: classes, attributes, cameras and the radars that each camera sees."""

CLASSES = (
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
)

# Id 0 is "no attribute"; a network's output i stands for id i + 1.
ATTRIBUTES = (
    "",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.standing",
    "pedestrian.sitting_lying_down",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)

# Class -> the outputs [first, end) of the attribute head that it may have.
_VEHICLE, _PEDESTRIAN, _CYCLE, _NONE = (5, 8), (2, 5), (0, 2), (0, 0)
ATTRIBUTES_OF = {
    "car": _VEHICLE,
    "truck": _VEHICLE,
    "bus": _VEHICLE,
    "trailer": _VEHICLE,
    "construction_vehicle": _VEHICLE,
    "pedestrian": _PEDESTRIAN,
    "motorcycle": _CYCLE,
    "bicycle": _CYCLE,
    "traffic_cone": _NONE,
    "barrier": _NONE,
}

# Category of the tables -> class.
CLASS_OF_CATEGORY = {
    "vehicle.car": "car",
    "vehicle.truck": "truck",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.trailer": "trailer",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "movable_object.barrier": "barrier",
}

BICYCLE_RACK = "static_object.bicycle_rack"

# Categories of the tables that are no class of the detection task.
IGNORED_CATEGORIES = frozenset(
    {
        "animal",
        "human.pedestrian.personal_mobility",
        "human.pedestrian.stroller",
        "human.pedestrian.wheelchair",
        "movable_object.debris",
        "movable_object.pushable_pullable",
        BICYCLE_RACK,
        "vehicle.emergency.ambulance",
        "vehicle.emergency.police",
    }
)

# In the order of their sensor ids, from 1.
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")

RADARS_OF_CAMERA = {
    "CAM_FRONT": ("RADAR_FRONT_RIGHT", "RADAR_FRONT_LEFT", "RADAR_FRONT"),
    "CAM_FRONT_LEFT": ("RADAR_FRONT_LEFT", "RADAR_FRONT"),
    "CAM_FRONT_RIGHT": ("RADAR_FRONT_RIGHT", "RADAR_FRONT"),
    "CAM_BACK_LEFT": ("RADAR_BACK_LEFT", "RADAR_FRONT_LEFT"),
    "CAM_BACK_RIGHT": ("RADAR_BACK_RIGHT", "RADAR_FRONT_RIGHT"),
    "CAM_BACK": ("RADAR_BACK_RIGHT", "RADAR_BACK_LEFT"),
}
