"""DataFrames with categories and missing cells for `tables.py`, from the csv folder of Rdatasets: one ``.csv`` each.

``--data`` is the folder ``csv`` of https://github.com/vincentarelbundock/Rdatasets, data sets of R packages as
published; those of `SETS` that are not there are left out. The class is the last column, ``class``. Classes of fewer
than twenty rows are left out, as are columns that are missing in nine of ten rows, constant, or text of more than 60
values; of more than ``--most-rows`` rows so many are drawn.

    python examples/benchmarks/frame_sets.py --data DIR --out frames
    python examples/benchmarks/tables.py --data frames --seeds 0 --methods ours,forest,hgb,logistic --out frames.jsonl
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

FEWEST, FEWEST_DRAWN, MOST_MISSING, MOST_VALUES = 20, 10, 0.9, 60

SETS = """
modeldata/ad_data Class
modeldata/attrition Attrition
modeldata/cells class case
modeldata/credit_data Status
modeldata/hpc_data class
modeldata/leaf_id_flavia species
modeldata/lending_club Class
modeldata/mlc_churn churn
modeldata/penguins species
modeldata/Sacramento type zip
modeldata/stackoverflow Remote
modeldata/wa_churn churn
modeldata/cat_adoption intake_type
ISLR/Caravan Purchase
ISLR/OJ Purchase
MASS/biopsy class ID
AER/HMDA deny
AER/HealthInsurance insurance
AER/PSID1976 participation hours wage repwage
carData/BEPS vote
carData/Chile vote
carData/CES11 abortion id population weight
vcdExtra/Titanicp survived
MLDataR/csgo result date
MLDataR/thyroid_disease ThryroidClass
MLDataR/diabetes_data DiabeticClass
MLDataR/heartdisease HeartDisease
openintro/email number time
Stat2Data/Hawks Species BandNumber ReleaseTime
Ecdat/Car choice
Ecdat/Heating depvar idcase
Ecdat/Kakadu answer
Ecdat/Fishing mode price catch
fivethirtyeight/steak_survey steak_prep respondent_id
survival/pbc stage id
survival/flchain death futime chapter
ratdat/complete species_id record_id genus species taxa
folio/verre Tint Sample Reference
openintro/fastfood restaurant item
openintro/mlb_players_18 position name team
bayesrules/hotel_bookings is_canceled reservation_status reservation_status_date
bayesrules/weather_perth raintomorrow risk_mm
DAAG/nassCDS injSeverity caseid dead
DAAG/monica outcome
dslabs/olive area region
causaldata/nhefs death seqn yrdth modth dadth id censored
openintro/yrbss text_while_driving_30d
mosaicData/HELPrct substance id
heplots/TIPI orientation
wooldridge/loanapp approve action reject
ggplot2/diamonds cut
dplyr/storms status name category
psych/bfi education
openintro/comics align name first_appear
openintro/births14 habit
OncoDataSets/RotterdamBreastCancer_df grade pid rownames
nycflights13/planes manufacturer tailnum model
openintro/cars04 ncyl name
"""
"""Package and item, the class, and columns that are left out: numbers of rows, what is known only with the class."""


def frequent(frame, fewest):
    return frame[frame["class"].map(frame["class"].value_counts()) >= fewest]


def is_of_use(column):
    is_text = not pd.api.types.is_numeric_dtype(column)
    return (
        column.isna().mean() <= MOST_MISSING
        and column.nunique() >= 2
        and not (is_text and column.nunique() > MOST_VALUES)
    )


def selected(frame, target, left_out, most_rows):
    """A DataFrame whose last column is the class, as text."""
    frame = frame.drop(columns=["rownames", *left_out], errors="ignore")
    frame = frame[frame[target].notna()].copy()
    frame = frequent(frame.drop(columns=target).assign(**{"class": frame[target].astype(str)}), FEWEST)
    if len(frame) > most_rows:
        frame = frequent(frame.iloc[np.random.default_rng(0).permutation(len(frame))[:most_rows]], FEWEST_DRAWN)
    return frame[[name for name in frame if name == "class" or is_of_use(frame[name])]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders of .csv files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the .csv files")
    parser.add_argument("--most-rows", type=int, default=2000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path, target, *left_out in map(str.split, SETS.strip().splitlines()):
        if not (args.data / f"{path}.csv").exists():
            print(f"left out: {path}")
            continue
        frame = selected(pd.read_csv(args.data / f"{path}.csv"), target, left_out, args.most_rows)
        frame.to_csv(args.out / f"{path.replace('/', '.')}.csv", index=False)
        print(f"{path}: {len(frame)} rows, {frame.shape[1] - 1} columns, {frame['class'].nunique()} classes")


if __name__ == "__main__":
    main()
