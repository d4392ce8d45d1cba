import torch

from detection_golden import figures
from steploop.projects.detection.modeling.assigner import Assignment
from steploop.projects.detection.modeling.samplers import PseudoSampler, RandomSampler


def assignment(positives, negatives, ignored):
    truth = torch.cat((torch.ones(positives), torch.zeros(negatives), -torch.ones(ignored))).long()
    return Assignment(truth, torch.zeros(len(truth)))


def test_golden_counts():
    for row in figures("ops")["sampler_rows"].tolist():
        positives, negatives, ignored, num, fraction, limit, truths, expected, expected_negatives, _ = row
        sampler = RandomSampler(int(num), fraction, neg_pos_ub=limit)
        # With "add gt" the 4 boxes of the ground truth come in front, as positives.
        given = assignment(int(positives + 4 * truths), int(negatives), int(ignored))
        sample = sampler(given)
        assert (len(sample.positives), len(sample.negatives)) == (expected, expected_negatives), row
        assert (given.truth[sample.positives] == 1).all() and (given.truth[sample.negatives] == 0).all()
        for index in sample:
            assert index.tolist() == sorted(set(index.tolist()))


def test_draws_follow_the_global_generator():
    sampler, given = RandomSampler(20, 0.5), assignment(40, 100, 5)
    torch.manual_seed(3)
    first = sampler(given)
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(first, sampler(given)))
    assert not torch.equal(first.positives, sampler(given).positives)


def test_pseudo():
    sample = PseudoSampler()(assignment(2, 3, 4))
    assert sample.positives.tolist() == [0, 1] and sample.negatives.tolist() == [2, 3, 4]
