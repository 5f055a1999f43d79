"""The build of a store from a library.

Three nouns describe every build:

- A `BuildPlan` (`plan.py`) says what is computed: the library's points, the orders, the block of a
  task, the emulator, and the attributes of the store. It has passed all checks, and does not depend
  on where the work is done.
- A `Task` (`tasks.py`) is a small, picklable object with the paths and numbers that it needs, and a
  function that computes it. No large array passes through the scheduler.
- A `Stage` (`stages.py`) is a list of unfinished tasks of one kind. The same function runs all
  stages in turn: mean fluxes, emulator, ratio table and interpolators.

`job.py` holds the public functions. A job file is a `mixjobs.config.build.BuildConfig`, and an
unfinished store on disk is a `mixjobs.store.partial.PartialStore`.
"""
