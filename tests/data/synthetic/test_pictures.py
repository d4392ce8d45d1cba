import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploop.data.synthetic.camera import FRAME, develop, make_camera
from steploop.data.synthetic.clothes import dress
from steploop.data.synthetic.figure import Pose, draw_person
from steploop.data.synthetic.people import (
    _CHOICES,
    BAGS,
    HAIRCUTS,
    MIN_DIFFERENCE,
    TOPS,
    Person,
    difference,
    draw_people,
)
from steploop.data.synthetic.scene import SIZE, get_ready, take_picture
from steploop.data.synthetic.tube import Light, draw_tube

PLAIN = Person((0,) * 10, ((200, 0, 0), (240, 240, 240), (0, 0, 200)), stature=1.0, shoulders=1.0, legs=0.51, grain=0)
STANDING = Pose(heading=0.0, phase=0.0, stride=0.0, swing=0.0, elbow=0.1, tilt=0.0)
SUN = Light(angle=0.0, ambient=0.5, diffuse=0.5)


# -- people -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_people_of_one_outfit_differ_visibly(seed):
    people = draw_people(100, np.random.default_rng(seed))
    groups = [people[outfit::8] for outfit in range(8)]
    for group in groups:
        assert len({person.outfit for person in group}) == 1
        assert all(difference(a, b) >= MIN_DIFFERENCE for a, b in itertools.combinations(group, 2))
    assert len({person.outfit for person in people}) == 8
    assert people == draw_people(100, np.random.default_rng(seed))


def with_choices(**choices):
    """Return PLAIN with other choices, by the place in Person.choices."""
    return replace(PLAIN, choices=tuple(choices.get(f"c{place}", 0) for place in range(10)))


def test_a_difference_counts_what_is_seen():
    assert difference(PLAIN, PLAIN) == 0
    other = with_choices(c0=1, c1=1, c2=1, c3=1, c4=1, c5=1, c6=1, c7=1, c8=1, c9=1)
    bag = with_choices(c3=1)
    assert difference(bag, with_choices(c3=2, c8=0)) == 3
    assert difference(PLAIN, other) == difference(other, PLAIN) == 19


@pytest.mark.parametrize(
    ("hiding", "hidden"),
    [({"c0": TOPS.index("dress")}, "c2"), ({"c3": BAGS.index("none")}, "c8")]
    + [({"c4": HAIRCUTS.index(haircut)}, "c7") for haircut in ("bald", "cap")],
)
def test_what_is_hidden_makes_no_difference(hiding, hidden):
    assert difference(with_choices(**hiding), with_choices(**hiding, **{hidden: 1})) == 0
    shown = dict.fromkeys(hiding, 1)
    assert difference(with_choices(**shown), with_choices(**shown, **{hidden: 1})) > 0


# -- pictures -----------------------------------------------------------------------------------------------


def canvas(rows=256, columns=128, level=100.0):
    return np.full((rows, columns, 3), level, dtype=np.float32)


def draw(person, pose=STANDING, *, foot=(64.0, 240.0), height=220.0):
    picture = canvas()
    draw_person(picture, person, dress(person), pose, SUN, foot=foot, height=height)
    return picture


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*(st.integers(0, len(options) - 1) for options in _CHOICES)),
    st.floats(-7, 7),
    st.floats(0, 7),
    st.floats(0, 0.3),
)
def test_everybody_can_be_drawn_from_any_side(choices, heading, phase, tilt):
    person = replace(PLAIN, choices=choices)
    pose = Pose(heading=heading, phase=phase, stride=0.5, swing=0.5, elbow=0.6, tilt=tilt)
    picture = draw(person, pose)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= 255
    changed = np.flatnonzero((picture != 100).any(axis=(1, 2)))
    assert changed.min() == pytest.approx(240 - 220 * np.cos(tilt), abs=20)  # the crown
    assert changed.max() == pytest.approx(245, abs=15)  # feet and shadow


def test_a_person_stands_where_the_foot_is():
    left, right = (draw(PLAIN, foot=(x, 240.0)) for x in (40.0, 80.0))
    assert (np.abs(left[:, :88] - right[:, 40:]) > 1).mean() < 0.001  # but for rounding at the edges of a texture
    nowhere = canvas()
    draw_person(nowhere, PLAIN, dress(PLAIN), STANDING, SUN, foot=(-300.0, 240.0), height=220.0)
    assert (nowhere == 100).all()


def test_upper_and_lower_clothes_are_where_they_belong():
    picture = draw(with_choices(c0=1))  # a sweater over trousers
    assert picture[110, 64].argmax() == 0
    assert picture[190, 50:78].reshape(-1, 3).mean(axis=0).argmax() == 2


def test_a_backpack_is_seen_from_behind():
    def area(heading):
        with_bag, without = (draw(with_choices(c3=bag), replace(STANDING, heading=heading)) for bag in (1, 0))
        return (with_bag != without).any(axis=2).sum()

    assert area(np.pi) > 2 * area(0.0) > 0


def test_a_tube_shows_its_front_and_is_lit_from_its_side():
    texture = np.zeros((8, 96, 4), dtype=np.uint8)
    texture[..., 3] = 255
    texture[:, 36:60] = (200, 200, 200, 255)  # a light quarter in front of a dark tube
    ends = np.array([32.0, 10.0]), np.array([32.0, 50.0])
    radii = np.array([10.0, 10.0])

    def row(light=SUN, **kwargs):
        picture = canvas(64, 64)
        draw_tube(picture, *ends, radii, texture, light, **kwargs)
        return picture[30, :, 0]

    front, right, back = row(), row(turn=np.pi / 2), row(turn=np.pi)
    assert (front[:22] == 100).all()
    assert (front[43:] == 100).all()
    assert front[32] > 190
    assert front[24] < 10
    assert right[41] > right[32] + 50
    assert back[23:42].max() < 10
    lit = row(Light(angle=1.2, ambient=0.3, diffuse=0.7))
    assert lit[38] > lit[26] + 50


def test_a_camera_follows_from_its_number_and_seed():
    one, same, other = (make_camera(3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.background.shape == (*FRAME, 3)
    assert (one.background == same.background).all()
    assert replace(one, background=None, gain=None) == replace(same, background=None, gain=None)
    assert (one.background != other.background).any()


@pytest.mark.parametrize("index", range(9))
def test_a_camera_tints_and_shrinks_what_it_sees(index):
    camera = make_camera(index, np.random.default_rng(index))
    picture = develop(canvas(), camera, (128, 64), np.random.default_rng(0))
    assert picture.size == (64, 128)
    expected = (100 * camera.gain - 128) * camera.contrast + 128
    assert np.asarray(picture).mean((0, 1)) == pytest.approx(expected, abs=2)
    red, _, blue = camera.gain
    assert (red > blue) == bool(index % 2)  # opposite tints follow each other


def test_a_picture_has_the_person_in_its_middle():
    camera = make_camera(0, np.random.default_rng(0))
    (walker,) = get_ready([PLAIN])
    changes = []
    for seed in range(6):
        empty, taken = (
            np.asarray(take_picture(who, camera, np.random.default_rng(seed)), dtype=float) for who in (None, walker)
        )
        assert taken.shape == (*SIZE, 3)
        changes.append(np.abs(taken - empty).mean((0, 2)))
    middle = np.mean(changes, axis=0)
    assert middle[24:40].mean() > 2 * middle[[*range(8), *range(56, 64)]].mean()


def test_some_pictures_are_occluded():
    camera = replace(make_camera(2, np.random.default_rng(0)), noise=0.0)
    walkers = get_ready(draw_people(4, np.random.default_rng(0)))

    def take(seed, passers):
        return np.asarray(take_picture(walkers[0], camera, np.random.default_rng(seed), passers))

    hidden = sum((take(seed, ()) != take(seed, walkers)).any() for seed in range(40))
    assert 0.1 * 40 < hidden < 0.4 * 40
