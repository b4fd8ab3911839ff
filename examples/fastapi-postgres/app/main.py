from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from .database import NotConfigured, session
from .models import Visit

app = FastAPI(title="Visits")

Database = Annotated[Session, Depends(session)]


@app.exception_handler(NotConfigured)
@app.exception_handler(OperationalError)
def unavailable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error).splitlines()[0]}, status_code=503)


@app.get("/")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/db")
def database(db: Database) -> dict[str, str | int]:
    version, answer = db.execute(select(func.version(), 6 * 7)).one()
    return {"version": version, "answer": answer}


@app.post("/visits", status_code=201)
def visit(db: Database) -> dict[str, int]:
    """Counts a visit. The table is made by `alembic upgrade head`."""
    db.add(Visit())
    db.commit()
    return {"visits": db.scalar(select(func.count()).select_from(Visit)) or 0}
