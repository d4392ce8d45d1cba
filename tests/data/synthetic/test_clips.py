import numpy as np
import pytest

from steploop.data.synthetic.camera import make_camera
from steploop.data.synthetic.clips import ACTIONS, CLIP_SIZE, filmstrip, render_clip, render_strips
from steploop.data.synthetic.people import draw_people
from steploop.data.synthetic.scene import get_ready


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    return get_ready(draw_people(2, rng)), make_camera(0, rng)


def clip(scene, action, seed=1, frames=6):
    return render_clip(action, scene[0][0], scene[1], np.random.default_rng(seed), frames=frames)


def test_a_clip_follows_from_its_generator(scene):
    first = clip(scene, "walking")
    assert first.shape == (6, *CLIP_SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, clip(scene, "walking"))
    assert not np.array_equal(first, clip(scene, "walking", seed=2))


@pytest.mark.parametrize("action", ACTIONS)
def test_something_moves_more_than_the_noise(scene, action):
    frames = clip(scene, action, frames=8).astype(float)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(0, 3))
    assert np.quantile(change, 0.99) > 3 * np.quantile(change, 0.5)


def test_walking_backwards_is_walking_in_the_other_order(scene):
    forwards, backwards = clip(scene, "walking").astype(float), clip(scene, "walking backwards").astype(float)
    same, reverse = np.abs(forwards - backwards).mean(), np.abs(forwards - backwards[::-1]).mean()
    assert reverse < same


def test_an_unknown_action_is_refused(scene):
    with pytest.raises(ValueError, match="one of walking, running"):
        clip(scene, "flying")


def test_pictures_to_look_at(scene):
    assert filmstrip(clip(scene, "waving"), columns=4).size == (4 * CLIP_SIZE[1], CLIP_SIZE[0])
    assert render_strips(["waving", "turning"], *scene).size == (8 * CLIP_SIZE[1], 2 * CLIP_SIZE[0])
