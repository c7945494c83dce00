"""What was handed in, held against a lecturer's manifest.

`manifest` reads what is asked for, `wanted` composes it into the configs that runs must have, `submissions` finds runs
in a folder of a stranger's, `evidence` holds each run's files against its own weights, `grading` comes to verdicts, and
`table` and `page` show those of a class. docs/course.md is the manual, and says what no grader can see.
"""
