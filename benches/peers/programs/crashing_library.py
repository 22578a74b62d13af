"""As `examples/crashing_library.rs`: 200 pictures, two of which crash the decoder.

One crash breaks an executor with all that it has, and says nothing of whose fault it was. So what was under way is tried
again one by one, each in an executor of its own.

    python3 crashing_library.py
"""

import os
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

RETRIES = 1


def decode(picture: bytes) -> int:
    if picture[:1] == b"\xff":
        os.abort()
    return len(picture)


def alone(picture: bytes) -> int | None:
    for _ in range(1 + RETRIES):
        with ProcessPoolExecutor(1) as pool:
            try:
                return pool.submit(decode, picture).result()
            except BrokenProcessPool:
                pass
    return None


def main() -> None:
    pictures = [(b"\xff" if n % 100 == 7 else b"\0") * (1000 + n) for n in range(200)]
    todo, decoded, broken = list(range(200)), {}, []
    while todo:
        suspects = []
        with ProcessPoolExecutor(2) as pool:
            under_way = {}
            while (todo and not suspects) or under_way:
                while todo and not suspects and len(under_way) < 16:
                    number = todo.pop(0)
                    try:
                        under_way[pool.submit(decode, pictures[number])] = number
                    except BrokenProcessPool:
                        suspects.append(number)
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    number = under_way.pop(future)
                    try:
                        decoded[number] = future.result()
                    except BrokenProcessPool:
                        suspects.append(number)
        for number in suspects:
            size = alone(pictures[number])
            if size is None:
                broken.append(number)
            else:
                decoded[number] = size
    for number in sorted(broken):
        print(f"picture {number} crashes the decoder")
    print(f"{len(decoded)} pictures were decoded, {sum(decoded.values())} bytes")


if __name__ == "__main__":
    main()
