"""Who walks past the cameras: synthetic identities, told apart by shape and pattern more than by colour."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

TOPS = ("t-shirt", "sweater", "coat", "dress")
PATTERNS = ("plain", "hoops", "bars", "yoke", "band", "logo", "raglan")
BOTTOMS = ("trousers", "shorts", "skirt")
BAGS = ("none", "backpack", "shoulder bag")
HAIRCUTS = ("short", "long", "bun", "cap", "bald")
BUILDS = ("slim", "medium", "heavy")

TOP_COLOURS: tuple[Colour, ...] = ((176, 46, 48), (46, 92, 160), (58, 120, 78), (206, 166, 62), (128, 128, 134))
BOTTOM_COLOURS: tuple[Colour, ...] = ((40, 44, 60), (92, 88, 82), (140, 116, 84), (58, 80, 116))
ACCENTS: tuple[Colour, ...] = ((226, 224, 216), (34, 34, 38))
SKINS: tuple[Colour, ...] = ((232, 190, 162), (198, 148, 114), (124, 84, 62))
HAIR_COLOURS: tuple[Colour, ...] = ((32, 26, 24), (96, 62, 38), (190, 152, 92), (150, 148, 146))
BAG_COLOURS: tuple[Colour, ...] = ((52, 48, 46), (124, 76, 44), (72, 86, 96))
SHOE_COLOURS: tuple[Colour, ...] = ((30, 28, 30), (222, 220, 214), (110, 72, 46))

# How many outfits (colours of top, accent and bottom) all people of a set share.
NUM_OUTFITS = 8
# Candidates drawn for each person; the one least like the people before is taken.
_CANDIDATES = 96
_CHOICES = (TOPS, PATTERNS, BOTTOMS, BAGS, HAIRCUTS, BUILDS, SKINS, HAIR_COLOURS, BAG_COLOURS, SHOE_COLOURS)
# How well each of these choices is seen at 128x64 from any side.
_VISIBILITY = np.array([3.0, 4.0, 3.0, 3.0, 2.0, 1.5, 1.0, 0.5, 0.5, 0.5])
# Two people of the same outfit differ at least so much, or they are no two people.
MIN_DIFFERENCE = 6.0


@dataclass(frozen=True)
class Person:
    """One identity: what stays the same in all of its pictures.

    Attributes:
        choices: An index into each of the lists of kinds and colours, in the order of this module.
        outfit: Colours of the top, its accent and the bottom.
        stature: Height relative to the average, about 0.92 to 1.06.
        shoulders: Width of the shoulders relative to the average.
        legs: Share of the stature below the hip, about 0.5.
        grain: Seed of the folds in the cloth.
    """

    choices: tuple[int, ...]
    outfit: tuple[Colour, Colour, Colour]
    stature: float
    shoulders: float
    legs: float
    grain: int

    @property
    def top(self) -> str:
        """Kind of the top, one of TOPS."""
        return TOPS[self.choices[0]]

    @property
    def pattern(self) -> str:
        """Pattern of the top, one of PATTERNS."""
        return PATTERNS[self.choices[1]]

    @property
    def bottom(self) -> str:
        """Kind of the bottom, one of BOTTOMS; a dress is its own skirt."""
        return "skirt" if self.top == "dress" else BOTTOMS[self.choices[2]]

    @property
    def bag(self) -> str:
        """What is carried, one of BAGS."""
        return BAGS[self.choices[3]]

    @property
    def haircut(self) -> str:
        """What is on the head, one of HAIRCUTS."""
        return HAIRCUTS[self.choices[4]]

    @property
    def girth(self) -> float:
        """Thickness of trunk and limbs relative to the average."""
        return (0.84, 1.02, 1.27)[self.choices[5]]

    @property
    def skin(self) -> Colour:
        """Colour of the skin."""
        return SKINS[self.choices[6]]

    @property
    def hair_colour(self) -> Colour:
        """Colour of the hair."""
        return HAIR_COLOURS[self.choices[7]]

    @property
    def bag_colour(self) -> Colour:
        """Colour of the bag."""
        return BAG_COLOURS[self.choices[8]]

    @property
    def shoe_colour(self) -> Colour:
        """Colour of the shoes."""
        return SHOE_COLOURS[self.choices[9]]


def difference(a: Person, b: Person) -> float:
    """Return how visibly the shapes and patterns of two people differ: 0 (not at all) to 19."""
    return float(_differences(_seen(np.array([a.choices])), _seen(np.array([b.choices]))[0])[0])


def draw_people(count: int, rng: np.random.Generator) -> list[Person]:
    """Return `count` people who share NUM_OUTFITS outfits and differ in shape and pattern within each.

    Each person is the best of some random candidates: the one least like the nearest of those before with the
    same outfit (Mitchell's best-candidate sampling, SIGGRAPH 1991).

    Args:
        count: Number of people, at least 1.
        rng: Where every choice comes from.

    Raises:
        ValueError: If so many people cannot all be told apart.
    """
    outfits = _draw_outfits(rng)
    sizes = [len(options) for options in _CHOICES]
    groups: list[list[np.ndarray]] = [[] for _ in outfits]
    people = []
    for i in range(count):
        group = groups[i % len(outfits)]
        candidates = rng.integers(0, sizes, size=(_CANDIDATES, len(sizes)))
        seen = _seen(candidates)
        nearest = np.full(len(seen), np.inf)
        for other in group:
            nearest = np.minimum(nearest, _differences(seen, other))
        best = int(nearest.argmax())
        if nearest[best] < MIN_DIFFERENCE:
            raise ValueError(f"cannot draw {count} people who differ visibly: only {i} were found; ask for fewer")
        group.append(seen[best])
        people.append(
            Person(
                choices=tuple(int(choice) for choice in candidates[best]),
                outfit=outfits[i % len(outfits)],
                stature=float(rng.uniform(0.92, 1.06)),
                shoulders=float(rng.uniform(0.92, 1.1)),
                legs=float(rng.uniform(0.495, 0.53)),
                grain=int(rng.integers(2**31)),
            )
        )
    return people


def _draw_outfits(rng: np.random.Generator) -> list[tuple[Colour, Colour, Colour]]:
    pairs = [(top, bottom) for top in TOP_COLOURS for bottom in BOTTOM_COLOURS]
    chosen = rng.choice(len(pairs), size=NUM_OUTFITS, replace=False)
    return [(pairs[i][0], ACCENTS[n % len(ACCENTS)], pairs[i][1]) for n, i in enumerate(chosen)]


def _seen(choices: np.ndarray) -> np.ndarray:
    """Return (N, choices) indices without what another choice hides: a dress hides the bottom, bald has no hair."""
    seen = choices.copy()
    seen[seen[:, 0] == TOPS.index("dress"), 2] = BOTTOMS.index("skirt")
    seen[seen[:, 4] >= HAIRCUTS.index("cap"), 7] = -1
    seen[seen[:, 3] == BAGS.index("none"), 8] = -1
    return seen


def _differences(people: np.ndarray, person: np.ndarray) -> np.ndarray:
    different: np.ndarray = (people != person) @ _VISIBILITY
    return different
