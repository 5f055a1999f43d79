"""The build of a store from a library.

Three nouns describe every build:

- A `BuildPlan` (`plan.py`) says what is computed: the library's points, the orders, the block of a
  task, the emulator, and the attributes of the store. It exists only after all checks, and does not
  depend on where the work is done.
- A `Task` (`tasks.py`) is a small, picklable object with the paths and the numbers that it needs,
  and a function that computes it. No large array passes through the scheduler.
- A `Stage` (`stages.py`) is the list of the tasks of one kind that are not finished. Mean fluxes,
  emulator, ratio table and interpolators are run one after the other by the same function.

`job.py` holds the public functions. A job file is a `mixjobs.config.build.BuildConfig`, and the
unfinished store on the disk is a `mixjobs.store.partial.PartialStore`.
"""
