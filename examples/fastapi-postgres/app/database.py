import os
from collections.abc import Iterator
from functools import cache

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session


class NotConfigured(Exception):
    """There is no database to talk to."""


@cache
def engine() -> Engine:
    """The engine for `DATABASE_URL`, made when it is first wanted: the service starts without a database."""
    try:
        url = make_url(os.environ["DATABASE_URL"])
    except KeyError:
        raise NotConfigured("set DATABASE_URL, such as postgresql://user:password@host/name") from None
    # A plain postgresql:// would mean whichever driver SQLAlchemy prefers.
    return create_engine(url.set(drivername="postgresql+psycopg2"), pool_pre_ping=True)


def session() -> Iterator[Session]:
    with Session(engine()) as session:
        yield session
