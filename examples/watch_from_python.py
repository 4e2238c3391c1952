"""Steer a run in its own process from a script: play, look, heat, pause.

The guard at the end is needed in any script that starts a run: the worker process imports this file.
"""

from time import sleep

from studio import Dynamics, Run, View
from studio.system import example


def main() -> None:
    recipe = Dynamics(system=example("tyk2-water").system, view=View(resolution="nnp/mm"))
    with Run(recipe) as run:
        run.wait("paused")
        frames = run.frames.subscribe()
        run.play()
        for kelvin in (300, 400):
            run.set_temperature(kelvin)
            sleep(3)
            frame = frames.latest()
            if frame is not None:
                print(
                    f"set {kelvin} K: {frame.time:.2f} ps, {frame.temperature:.0f} K, {frame.speed:.0f} steps/s, network {frame.energies['network']:.0f} kJ/mol"
                )
        run.pause()
        print(run.wait("paused").message)


if __name__ == "__main__":
    main()
