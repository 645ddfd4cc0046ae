"""Valid and faulty synthetic submissions, made by the rules, the dictionary and the lists of `specs/samples/`."""

from gateway.sampling.csv_sample import PatternError
from gateway.sampling.draw import HoleError
from gateway.sampling.fhir_sample import ElementError
from gateway.sampling.lists import Lists, load
from gateway.sampling.sample import Judge, NotSampled, Sample, Sampler, Standards, Verdict, sampler

MISTAKES = (ElementError, HoleError, PatternError)
"""What a mistake in `specs/samples/` raises."""

__all__ = [
    "MISTAKES",
    "ElementError",
    "HoleError",
    "Judge",
    "Lists",
    "NotSampled",
    "PatternError",
    "Sample",
    "Sampler",
    "Standards",
    "Verdict",
    "load",
    "sampler",
]
