"""The words of a page, explained: those of the design, the regions, and the metrics that come with refbench."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "head": "One T1-weighted volume of one subject's whole head.",
    "subject, site": "The person; the scanner's location. The subject, never the slice, is the unit of all statistics.",
    "anonymizer": "Takes a head and gives it back with the face hidden.",
    "attacker": "Learns from training subjects to turn released slices back into originals. It is trained anew for "
    "every anonymizer, and tested on people it has never seen.",
    "released": "What the anonymizer gives away, before any attack.",
    "reconstructed": "What an attack makes of the release.",
    "rank": "1 hides best: its strongest attack gets least. Anonymizers are ranked by their strongest attack, never by "
    "the mean, and without a rank where an attack is missing.",
    "95 % interval": "Of the mean over people: from 10 000 resamples of people within their sites, and of trainings.",
    "gain": "Reconstructed minus released, person by person.",
    "p (Holm)": "Of a sign-flip test, adjusted for the number of tests in its table. Not apart does not mean equal.",
    "correlation": "Pearson correlation of a slice with the original over the region, -1 to 1; 1 is the original.",
    "ssim": "Structural similarity of a slice with the original over the region, -1 to 1; 1 is the original.",
    "recognizer": "Tells how alike two faces are: surfaces, depth maps, or a network on renders. The best counts.",
    "probe, gallery": "The face looked for, released or reconstructed; the originals.",
    "rank-1, rank-5": "Share of people whose own face is the most alike of the gallery, or of the five most alike. A "
    "probe in which no face is found counts as chance.",
    "chance": "What a blind guess finds: one among the faces of the gallery.",
    "AUC, EER, TPR at FPR": "How well a threshold tells pairs of one person from pairs of two: area under the curve "
    "(0.5 is chance), the rate at which both errors are equal, the share of own pairs accepted at a share of others.",
    "D_sys": "Linkability: 0 where nothing links a face to its person, 1 where everything does.",
    "Cllr": "What the recognizer's likelihood ratios cost in bits: 0 is perfect, 1 tells nothing. Cllr min: after the "
    "best calibration.",
    "front_half": "The front half of the slice: the founding paper's region.",
    "whole": "The whole slice.",
    "face": "The dataset's own label of the face; else the face template's region, around the skin of the original.",
    "changed": "Wherever the release differs from the original. It differs between anonymizers: compare attacks in it, "
    "not anonymizers.",
    "failed": "The anonymizer crashed, left the face or cut the brain. Such scans are counted, never dropped.",
    "cell": "One anonymizer under one attacker, with one seed.",
    "face left": "The check found facial skin of the original in the release.",
    "phantom": "A made-up head: nobody's face.",
}
