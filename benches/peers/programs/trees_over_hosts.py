"""As `examples/trees_over_hosts.rs`: actors on several hosts that find each other by name, and call each other.

    pip install ray && python3 trees_over_hosts.py
"""

import os
import socket

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@ray.remote(num_cpus=0)
class Member:
    def __init__(self, name: str):
        self.name = name

    def say_where_you_are(self) -> str:
        return f"{self.name} at {socket.gethostname()} (pid {os.getpid()})"

    def call_up(self, name: str) -> str:
        found = ray.get(ray.get_actor(name).say_where_you_are.remote())
        return f"{self.say_where_you_are()} found {found}"


def main() -> None:
    ray.init(include_dashboard=False, log_to_driver=False)
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    names = [f"member-{number}" for number in range(max(2, len(nodes)))]
    members = {}
    for number, name in enumerate(names):
        place = NodeAffinitySchedulingStrategy(nodes[number % len(nodes)], soft=False)
        members[name] = Member.options(name=name, scheduling_strategy=place).remote(name)
    calls = [members[name].call_up.remote(names[(at + 1) % len(names)]) for at, name in enumerate(names)]
    for words in ray.get(calls):
        print(words)
    ray.shutdown()


if __name__ == "__main__":
    main()
