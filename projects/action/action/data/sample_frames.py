"""Which frames of a video make its clips: by number, as MMAction2 0.x and 1.x choose them, or by time."""

import numpy as np

OUT_OF_BOUND = ("loop", "repeat_last")
VERSIONS = ("0.x", "1.x")


class SampleFrames:
    """`num_clips` clips of `clip_len` frames, `frame_interval` apart.

    In training the first frame of each clip is drawn; with `test_mode` it is computed. With S = clip_len *
    frame_interval, T frames and C clips, training draws from A = (T - S + 1) // C places for each clip, one part of the
    video after the other.

    Args:
        clip_len: frames of a clip.
        frame_interval: from one frame of a clip to the next.
        num_clips: of a video.
        temporal_jitter: add a random number below `frame_interval` to each frame by itself.
        twice_sample: in test mode, also the clips half a step away.
        out_of_bound_opt: what stands for frames past the end: "loop", the video from its start, or "repeat_last".
        test_mode: whether nothing is drawn.
        version: "0.x" or "1.x" of MMAction2; their test clips differ: 0.x takes the middles of C equal parts, 1.x
            spreads the clips from the first to the last frame.
        keep_tail_frames: in training (1.x), split the video into parts of broken length, so that its last frames are
            drawn too.
        target_fps: (1.x) stretch a clip by fps / target_fps: it covers the same time in every video; 0 does not.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        *,
        temporal_jitter: bool = False,
        twice_sample: bool = False,
        out_of_bound_opt: str = "loop",
        test_mode: bool = False,
        version: str = "0.x",
        keep_tail_frames: bool = False,
        target_fps: float = 0.0,
    ) -> None:
        if min(clip_len, frame_interval, num_clips) < 1:
            raise ValueError(
                f"clip_len, frame_interval and num_clips are at least 1; came {clip_len}, {frame_interval}, {num_clips}"
            )
        if out_of_bound_opt not in OUT_OF_BOUND:
            raise ValueError(f"out_of_bound_opt is one of {', '.join(OUT_OF_BOUND)}; came {out_of_bound_opt!r}")
        if version not in VERSIONS:
            raise ValueError(f"version of SampleFrames is one of {', '.join(VERSIONS)}; came {version!r}")
        if twice_sample and version == "1.x" and num_clips == 1 and clip_len > 1:
            raise ValueError(
                "twice_sample of 1.x spreads clips between the first and the last: num_clips is at least 2"
            )
        self.clip_len, self.frame_interval, self.num_clips = clip_len, frame_interval, num_clips
        self.temporal_jitter, self.twice_sample = temporal_jitter, twice_sample
        self.out_of_bound_opt, self.test_mode, self.version = out_of_bound_opt, test_mode, version
        self.keep_tail_frames, self.target_fps = keep_tail_frames, target_fps

    @property
    def clips_per_video(self) -> int:
        """Most clips that a video gives; with `twice_sample`, 0.x gives half of them for one shorter than a clip."""
        return self.num_clips * 2 if self.twice_sample and self.test_mode else self.num_clips

    def __call__(self, total: int, rng: np.random.Generator, *, fps: float = 0.0) -> np.ndarray:
        """Return the frames of all clips, one clip after the other, int64 (clips * clip_len,), 0 <= frame < total.

        Args:
            total: frames of the video.
            rng: what training draws from.
            fps: frames per second of the video, for `target_fps`.

        Raises:
            ValueError: the video has no frame, or `target_fps` needs its rate, which is not known.
        """
        if total < 1:
            raise ValueError(f"a video needs at least one frame; came {total}")
        offsets = self.offsets(total, rng, fps=fps)
        if self.target_fps:
            steps = np.linspace(0, self._span(fps) - 1, self.clip_len).astype(np.int64)
        else:
            steps = np.arange(self.clip_len) * self.frame_interval
        frames = offsets[:, None] + steps
        if self.temporal_jitter:
            frames = frames + rng.integers(self.frame_interval, size=frames.shape)
        return within(frames.astype(np.int64), total, self.out_of_bound_opt).reshape(-1)

    def offsets(self, total: int, rng: np.random.Generator, *, fps: float = 0.0) -> np.ndarray:
        """Return the first frame of each clip, (clips,), which may be a broken number."""
        if not self.test_mode:
            return self._drawn(total, self._span(fps), rng)
        if self.version == "0.x":
            return self._middles(total)
        return self._spread(total, fps)

    def _span(self, fps: float) -> float:
        span = self.clip_len * self.frame_interval
        if not self.target_fps:
            return span
        if fps <= 0:
            raise ValueError("target_fps needs the rate of each video, and this one's is not known")
        return max(1.0, span * fps / self.target_fps)

    def _drawn(self, total: int, span: float, rng: np.random.Generator) -> np.ndarray:
        clips = np.arange(self.num_clips)
        if self.keep_tail_frames:
            part = (total - span + 1) / self.num_clips
            return (clips * part + rng.uniform(0, part, self.num_clips)).astype(np.int64) if part > 0 else 0 * clips
        part = int((total - span + 1) // self.num_clips)
        if part > 0:
            return clips * part + rng.integers(part, size=self.num_clips)
        if total > max(self.num_clips, span):
            return np.sort(rng.integers(int(total - span + 1), size=self.num_clips))
        if part == 0:
            return np.around(clips * ((total - span + 1) / self.num_clips))
        return 0 * clips

    def _middles(self, total: int) -> np.ndarray:
        span, clips = self.clip_len * self.frame_interval, np.arange(self.num_clips)
        if total <= span - 1:
            return 0 * clips
        part = (total - span + 1) / self.num_clips
        first = clips * part
        offsets = (first + part / 2.0).astype(np.int64)
        return np.concatenate((offsets, first)) if self.twice_sample else offsets

    def _spread(self, total: int, fps: float) -> np.ndarray:
        if self.clip_len == 1:
            part = total / self.num_clips
            first = np.arange(self.num_clips) * part
            return np.concatenate((first + part / 2.0, first)) if self.twice_sample else first + part / 2.0
        span = self._span(fps) if self.target_fps else (self.clip_len - 1) * self.frame_interval + 1
        largest = max(total - span, 0)
        if self.num_clips == 1:
            return np.array([largest // 2])
        return np.round(np.arange(self.clips_per_video) * largest / (self.num_clips - 1))


class SampleClipsByTime:
    """Clips that cover the same time in every video, whatever its rate, as PySlowFast samples them.

    A clip spans num_frames * sampling_rate / target_fps seconds; its frames are evenly spaced, and a short video
    repeats its last frame.

    Args:
        num_frames: frames of a clip.
        sampling_rate: frames of a video of `target_fps` from one frame of a clip to the next.
        target_fps: the rate for which `sampling_rate` is meant.
        num_clips: clips of a video, in test mode spread evenly from the first frame on; training draws each.
        test_mode: whether nothing is drawn.
    """

    def __init__(
        self,
        num_frames: int,
        sampling_rate: int,
        *,
        target_fps: float = 30.0,
        num_clips: int = 1,
        test_mode: bool = False,
    ) -> None:
        if min(num_frames, sampling_rate, num_clips) < 1 or target_fps <= 0:
            raise ValueError("num_frames, sampling_rate and num_clips are at least 1, and target_fps is positive")
        self.clip_len, self.sampling_rate, self.target_fps = num_frames, sampling_rate, target_fps
        self.num_clips, self.test_mode = num_clips, test_mode

    @property
    def clips_per_video(self) -> int:
        """Number of clips that a video gives."""
        return self.num_clips

    def __call__(self, total: int, rng: np.random.Generator, *, fps: float = 0.0) -> np.ndarray:
        """Return the frames of all clips, one clip after the other, int64 (num_clips * num_frames,).

        Raises:
            ValueError: the video has no frame, or its rate is not known.
        """
        if total < 1 or fps <= 0:
            raise ValueError(f"sampling by time needs frames and a rate; the video has {total} frames, {fps} a second")
        span = self.clip_len * self.sampling_rate * fps / self.target_fps
        largest = max(total - span, 0.0)
        if self.test_mode:
            starts = largest * np.arange(self.num_clips) / self.num_clips
        else:
            starts = rng.uniform(0.0, largest, self.num_clips)
        frames = [np.linspace(start, start + span - 1, self.clip_len) for start in starts]
        return np.clip(np.concatenate(frames), 0, total - 1).astype(np.int64)


def within(frames: np.ndarray, total: int, how: str) -> np.ndarray:
    """Return frames (clips, clip_len) with what lies past the end replaced.

    Args:
        frames: >= 0.
        total: frames of the video.
        how: "loop" counts on from the start; "repeat_last" takes the clip's last frame that there is.
    """
    if how == "loop":
        return frames % total
    last = np.where(frames < total, frames, 0).max(axis=1, keepdims=True)
    return np.where(frames < total, frames, last)
