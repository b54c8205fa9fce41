"""Films and sound: some frames, and the first seconds as plain samples. Inside a sandbox only."""

from __future__ import annotations

from typing import Any, BinaryIO

import av
from worker_seen import Seen, Stop

_READERS = {
    "mp4": "mov",
    "ogg": "ogg",
    "mp3": "mp3",
    "wav": "wav",
    "flac": "flac",
    "amr": "amr",
    "matroska": "matroska",
    "avi": "avi",
}
"""Each with the one reader that may look at it: none that asks for other files or addresses."""
FRAMES = 6
MOST_PIXELS = 40_000_000
RATE = 8000
SECONDS = 20
_TRIED = 400
"""Packets that are read for a frame."""


def look(file: BinaryIO, seen: Seen) -> None:
    """Frames spread over a film, or the start of what is heard."""
    av.logging.set_level(None)
    media: Any
    with av.open(file, format=_READERS[seen.kind], options={"protocol_whitelist": ""}) as media:
        length = media.duration / 1_000_000 if media.duration else 0.0
        if length > 0:
            seen.fact("seconds", f"{length:.1f}")
        video = next((stream for stream in media.streams.video), None)
        audio = next((stream for stream in media.streams.audio), None)
        if video is None and audio is None:
            raise Stop("broken", seen)
        if video is not None:
            seen.fact("width", video.width)
            seen.fact("height", video.height)
            seen.fact("picture codec", video.codec_context.name)
        if audio is not None:
            seen.fact("sound codec", audio.codec_context.name)
        if not seen.sight:
            return
        if video is not None:
            if video.width * video.height > MOST_PIXELS:
                raise Stop("too-large", seen)
            _frames(media, video, length, seen)
        if audio is not None:
            try:
                _sound(media, audio, seen)
            except (av.error.FFmpegError, ValueError):
                if not seen.pictures and not seen.sound:
                    raise
    if not seen.pictures and not seen.sound:
        seen.line = "broken"


def _frames(media: Any, video: Any, length: float, seen: Seen) -> None:
    video.thread_type = "NONE"
    video.codec_context.thread_count = 1
    places = [0.0] if length <= 0 else [length * part / FRAMES for part in range(min(FRAMES, seen.count))]
    for place in places:
        try:
            if place:
                media.seek(int(place * 1_000_000))
            frame = _frame(media, video)
        except av.error.FFmpegError:
            if not place:
                continue
            break
        if frame is None:
            break
        if frame.width * frame.height > MOST_PIXELS:
            raise Stop("too-large", seen)
        scale = min(1.0, seen.side / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        picture = frame.reformat(width=width, height=height, format="rgb24")
        plane = picture.planes[0]
        data, row = bytes(plane), plane.line_size
        pixels = b"".join(data[start : start + 3 * width] for start in range(0, row * height, row))
        seen.pictures.append((width, height, pixels))


def _frame(media: Any, video: Any) -> Any:
    for count, packet in enumerate(media.demux(video)):
        for frame in packet.decode():
            return frame
        if count > _TRIED:
            break
    return None


def _sound(media: Any, audio: Any, seen: Seen) -> None:
    audio.codec_context.thread_count = 1
    media.seek(0)
    turned = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    most = 2 * RATE * SECONDS
    sound = bytearray()
    for frame in media.decode(audio):
        for part in turned.resample(frame):
            sound += bytes(part.planes[0])[: 2 * part.samples]
        if len(sound) >= most:
            break
    seen.sound = bytes(sound[:most])
