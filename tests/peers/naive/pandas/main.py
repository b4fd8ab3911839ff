"""Statistics of a series of numbers: `/describe?value=1&value=2`."""

from typing import Annotated

import numpy as np
import pandas as pd
from fastapi import FastAPI, Query

app = FastAPI()

Values = Annotated[list[float], Query(min_length=1)]


@app.get("/")
def status() -> dict[str, str]:
    return {"numpy": np.__version__, "pandas": pd.__version__}


@app.get("/describe")
def describe(value: Values) -> dict[str, float | None]:
    statistics = pd.Series(value).describe()
    # The deviation of a single value is not a number, which JSON cannot say.
    return {name: None if np.isnan(number) else float(number) for name, number in statistics.items()}


@app.get("/trend")
def trend(value: Values, window: Annotated[int, Query(ge=1)] = 3) -> list[float]:
    return pd.Series(value).rolling(window, min_periods=1).mean().tolist()
