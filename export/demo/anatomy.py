"""Draw the measures of a chest at random and turn them into outlines, in chest coordinates.

Sides are those of the image: 0 is its left (the patient's right lung), 1 its right.
"""

from dataclasses import dataclass

import numpy as np

from export.demo.canvas import Points

SIDES = (0, 1)
SIGNS = (-1.0, 1.0)


@dataclass(frozen=True)
class Anatomy:
    """Hold the measures of one chest, in chest coordinates.

    Attributes:
        midline: x of the mediastinum.
        half_width: Distance from midline to the lateral wall, per side.
        apex: y of the lungs' tops, per side.
        angle: y of the costophrenic angles, per side.
        dome: Height of the diaphragm's dome over the angle, per side.
        medial: Distance from midline to the medial border of the lungs.
        roundness: Exponent of the lateral wall's curve.
        heart_ratio: Cardiothoracic ratio.
        heart_y: y of the heart's centre.
        heart_height: Half the height of the heart.
        heart_tilt: Share of the heart left of the midline (right in the image).
        hilum: y of the hila, per side.
        aeration: How dark the lungs are, around 1.
        vascularity: How strong the vessels are, around 1.
        frontal: Whether the beam enters from the front (AP): larger heart shadow, scapulae over the lungs.
    """

    midline: float
    half_width: tuple[float, float]
    apex: tuple[float, float]
    angle: tuple[float, float]
    dome: tuple[float, float]
    medial: float
    roundness: float
    heart_ratio: float
    heart_y: float
    heart_height: float
    heart_tilt: float
    hilum: tuple[float, float]
    aeration: float
    vascularity: float
    frontal: bool


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a chest without findings."""
    width, apex, angle = rng.uniform(0.33, 0.40), rng.uniform(0.11, 0.17), rng.uniform(0.80, 0.89)
    dome, hilum = rng.uniform(0.08, 0.14), rng.uniform(0.42, 0.47)
    frontal = bool(rng.random() < 0.35)
    low, high = (0.43, 0.51) if frontal else (0.38, 0.48)
    return Anatomy(
        midline=0.5 + rng.uniform(-0.012, 0.012),
        half_width=(width + rng.uniform(-0.01, 0.012), width + rng.uniform(-0.012, 0.01)),
        apex=(apex + rng.uniform(-0.01, 0.01), apex + rng.uniform(-0.01, 0.01)),
        angle=(angle + rng.uniform(-0.015, 0.01), angle + rng.uniform(-0.01, 0.02)),
        dome=(dome + rng.uniform(0.0, 0.03), dome + rng.uniform(-0.02, 0.01)),
        medial=rng.uniform(0.06, 0.085),
        roundness=rng.uniform(2.0, 2.7),
        heart_ratio=rng.uniform(low, high),
        heart_y=angle - dome - rng.uniform(0.045, 0.085),
        heart_height=rng.uniform(0.125, 0.155),
        heart_tilt=rng.uniform(0.60, 0.70),
        hilum=(hilum + rng.uniform(0.0, 0.02), hilum - rng.uniform(0.0, 0.02)),
        aeration=rng.uniform(0.88, 1.08),
        vascularity=rng.uniform(0.45, 1.05),
        frontal=frontal,
    )


def lateral_offset(anatomy: Anatomy, side: int, t: Points) -> Points:
    """Return the distance from midline to lateral wall at depths ``t`` [N], 0 at apex, 1 at angle."""
    reach = np.clip(t / 0.78, 0, 1)
    curve = (1 - (1 - reach) ** anatomy.roundness) ** (1 / anatomy.roundness)
    start = anatomy.medial + 0.015
    tuck = 0.015 * np.clip((t - 0.78) / 0.22, 0, 1) ** 2
    return np.asarray(start + (anatomy.half_width[side] - start) * curve - tuck)


def depth_to_y(anatomy: Anatomy, side: int, t: Points | float) -> Points:
    """Return y at depths ``t``, 0 at the lung's apex, 1 at its costophrenic angle."""
    return np.asarray(anatomy.apex[side] + t * (anatomy.angle[side] - anatomy.apex[side]))


def lung_point(anatomy: Anatomy, side: int, t: float, r: float) -> Points:
    """Return the point [2] at depth ``t`` and at ``r`` of the way from medial border to wall."""
    wall = float(lateral_offset(anatomy, side, np.array([t]))[0])
    offset = anatomy.medial + r * (wall - anatomy.medial)
    y = float(depth_to_y(anatomy, side, t))
    return np.array([anatomy.midline + SIGNS[side] * offset, y])


def diaphragm(anatomy: Anatomy, side: int) -> Points:
    """Return the diaphragm's curve [24, 2] from the costophrenic angle to the midline."""
    s = np.linspace(0, 1, 24)
    wall = float(lateral_offset(anatomy, side, np.array([1.0]))[0])
    x = anatomy.midline + SIGNS[side] * wall * (1 - s)
    rise = (
        np.sin(np.pi * 0.5 * np.clip(s / 0.58, 0, 1)) ** 0.85
        - 0.25 * np.clip(s - 0.58, 0, 1) ** 1.5
    )
    return np.column_stack([x, anatomy.angle[side] - anatomy.dome[side] * rise])


def wall_curve(anatomy: Anatomy, side: int, start: float, stop: float, count: int = 28) -> Points:
    """Return the lateral wall's curve [count, 2] between two depths."""
    t = np.linspace(start, stop, count)
    x = anatomy.midline + SIGNS[side] * lateral_offset(anatomy, side, t)
    return np.column_stack([x, depth_to_y(anatomy, side, t)])


def lung_outline(anatomy: Anatomy, side: int) -> Points:
    """Return the outline [N, 2] of a lung."""
    t = np.linspace(0, 1, 40) ** 1.6  # denser where the apex is round
    x = anatomy.midline + SIGNS[side] * lateral_offset(anatomy, side, t)
    wall = np.column_stack([x, depth_to_y(anatomy, side, t)])
    base = diaphragm(anatomy, side)
    medial_x = anatomy.midline + SIGNS[side] * anatomy.medial
    base = base[np.abs(base[:, 0] - anatomy.midline) >= anatomy.medial]
    medial = np.array([[medial_x, base[-1, 1]], [medial_x, anatomy.apex[side] + 0.02]])
    return np.vstack([wall, base, medial])


def heart_reach(anatomy: Anatomy) -> tuple[float, float]:
    """Return how far the heart reaches from the midline, per side of the image."""
    total = anatomy.heart_ratio * sum(anatomy.half_width)
    return total * (1 - anatomy.heart_tilt), total * anatomy.heart_tilt


def heart_outline(anatomy: Anatomy) -> Points:
    """Return the outline [N, 2] of the heart: a narrow top at the great vessels, an apex low on the right."""
    left, right = heart_reach(anatomy)
    theta = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    cos, sin = np.cos(theta), np.sin(theta)
    reach = np.where(cos > 0, right, left)
    # The left ventricle's apex lies lower than the right atrium
    lean = np.where(cos > 0, 0.35, 0.12)
    narrow = 1 - 0.30 * np.clip(-sin, 0, 1) ** 1.5
    x = anatomy.midline + reach * cos * narrow
    y = anatomy.heart_y + anatomy.heart_height * sin + lean * anatomy.heart_height * np.abs(cos)
    return np.column_stack([x, y])
