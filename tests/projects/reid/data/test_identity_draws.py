import numpy as np
import pytest

from steploop.projects.reid.data.identity_draws import (
    BalancedIdentitySampler,
    ImbalancedDatasetSampler,
    NaiveIdentitySampler,
    WholeBatchSampler,
)

PIDS = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
CAMIDS = np.arange(len(PIDS)) % 3
OPTIONS = {"batch_size": 8, "num_instances": 4}


def batches(sampler, epoch=0):
    return sampler.order(epoch).reshape(-1, sampler.batch_size)


@pytest.mark.parametrize(
    "sampler",
    [
        WholeBatchSampler(55, batch_size=8),
        ImbalancedDatasetSampler(PIDS, batch_size=8),
        NaiveIdentitySampler(PIDS, **OPTIONS),
        BalancedIdentitySampler(PIDS, **OPTIONS, camids=CAMIDS),
    ],
)
def test_an_epoch_is_whole_batches_and_each_is_another(sampler):
    assert sampler.epoch_length == 48
    assert [len(sampler.order(epoch)) for epoch in (0, 1)] == [48, 48]
    assert sampler.order(0).tolist() != sampler.order(1).tolist()
    first = [sampler.index_at(position) for position in range(96)]
    assert first[50] == sampler.index_at(50) and set(first) <= set(range(55))


def test_whole_batches_hold_an_image_once():
    assert len(set(WholeBatchSampler(55, batch_size=8).order(3).tolist())) == 48


def test_rare_identities_are_as_likely():
    sampler = ImbalancedDatasetSampler(PIDS, batch_size=11, seed=1)
    drawn = np.concatenate([PIDS[sampler.order(epoch)] for epoch in range(60)])
    shares = np.bincount(drawn) / len(drawn)
    assert np.abs(shares - 0.1).max() < 0.03


def test_naive_batches_have_p_identities_and_use_images_once():
    sampler = NaiveIdentitySampler(PIDS, **OPTIONS, seed=2)
    seen = []
    for batch in batches(sampler):
        groups = PIDS[batch].reshape(2, 4)
        assert (groups == groups[:, :1]).all() and groups[0, 0] != groups[1, 0]
        for group in batch.reshape(2, 4):
            if PIDS[group[0]] >= 3:  # four images and more
                assert len(set(group.tolist())) == 4
                seen.append(tuple(group.tolist()))
    first_pass = seen[: len(seen) // 2]
    images = [image for group in first_pass[:6] for image in group]
    assert len(images) == len(set(images))


def test_balanced_groups_come_from_several_cameras():
    sampler = BalancedIdentitySampler(PIDS, **OPTIONS, camids=CAMIDS)
    for batch in batches(sampler):
        assert len(set(PIDS[batch].tolist())) == 2
        for group in batch.reshape(2, 4):
            pid, cameras = PIDS[group[0]], CAMIDS[group]
            if pid == 0:
                assert len(set(group.tolist())) == 1
            elif pid >= 2:
                assert (cameras[1:] != cameras[0]).all()


def test_too_few():
    with pytest.raises(ValueError, match="only 10 identities to train on: lower the batch to at most 40"):
        NaiveIdentitySampler(PIDS, batch_size=44, num_instances=4)
    with pytest.raises(ValueError, match="a batch of 60 images"):
        WholeBatchSampler(55, batch_size=60)
