"""Every family of models of one coin, by the name of its folder in `params`.

Read next: family.py, backtest.py (who asks for them).
"""

from __future__ import annotations

from steps.crypto.boosting import BOOSTING
from steps.crypto.linear import LINEAR
from steps.crypto.lstm import LSTM
from steps.crypto.naive import DRIFT, NAIVE
from steps.crypto.seeds import SEED
from steps.crypto.svm import SVM

FAMILIES = {family.name: family for family in (NAIVE, DRIFT, LINEAR, SVM, BOOSTING, LSTM, SEED)}
