"""SQLAlchemy: its ORM and its core, reflection, savepoints, streams. Prints what it sees."""
import datetime
import decimal
import sys

from sqlalchemy import (
    JSON, Column, Enum, ForeignKey, Index, Integer, LargeBinary, MetaData, Numeric, String, Table,
    create_engine, delete, event, func, insert, inspect, select, text, update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

host, port, user, password, schema = sys.argv[1:]
URL = f"mysql+pymysql://{user}:{password}@{host}:{port}/{schema}?charset=utf8mb4"


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (Index("by_title", "title"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2))
    kind = mapped_column(Enum("novel", "poems"), default="novel")
    data = mapped_column(JSON, nullable=True)
    cover = mapped_column(LargeBinary, nullable=True)
    added: Mapped[datetime.datetime] = mapped_column(mysql.DATETIME(fsp=6))
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    version: Mapped[int] = mapped_column(Integer)
    __mapper_args__ = {"version_id_col": version}


def say(*what):
    print(*what, flush=True)


def orm(engine):
    Base.metadata.create_all(engine)
    at = datetime.datetime(2024, 2, 29, 1, 2, 3, 4)
    with Session(engine) as session:
        author = Author(name="d\u00e9j\u00e0 vu")
        author.books = [
            Book(title=f"book {n}", price=decimal.Decimal(n) / 4, data={"n": [n, None]}, cover=bytes([n, 0, 255]), added=at)
            for n in range(60)
        ]
        session.add(author)
        session.commit()
        say(author.id, author.books[7].id, author.books[7].price, author.books[7].added)
    with Session(engine) as session:
        loaded = session.scalars(select(Author).options(selectinload(Author.books))).one()
        say(len(loaded.books), loaded.books[5].data, loaded.books[5].cover, loaded.books[5].kind)
        for round in range(40):
            loaded.books[0].title = f"round {round}"
            session.commit()
            session.expire_all()
            assert session.scalar(select(Book.title).where(Book.id == loaded.books[0].id)) == f"round {round}"
        say(loaded.books[0].version)
        with session.begin_nested():
            session.add(Author(name="other"))
        try:
            with session.begin_nested():
                session.add(Author(name="other"))
        except IntegrityError as error:
            say(error.orig.args)
        session.rollback()
        say(session.scalar(select(func.count()).select_from(Author)))
        locked = session.scalars(select(Book).where(Book.title == "book 3").with_for_update(skip_locked=True)).one()
        session.delete(locked)
        session.commit()
        query = select(Book.kind, func.count(), func.sum(Book.price)).group_by(Book.kind)
        say(session.execute(query).all())


def core(engine):
    meta = MetaData()
    counts = Table("counts", meta, Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer))
    meta.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(counts), [{"id": n, "n": 0} for n in range(500)])
        upsert = mysql.insert(counts).values(id=1, n=5)
        say(connection.execute(upsert.on_duplicate_key_update(n=upsert.inserted.n + 1)).rowcount)
        say(connection.execute(update(counts).where(counts.c.id < 10).values(n=counts.c.n + 1)).rowcount)
        say(connection.execute(delete(counts).where(counts.c.id >= 490)).rowcount)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for round in range(60):
            connection.execute(update(counts).where(counts.c.id == 0).values(n=round))
            assert connection.scalar(select(counts.c.n).where(counts.c.id == 0)) == round
        rows = connection.execution_options(stream_results=True).execute(select(counts))
        say(sum(1 for _ in rows.yield_per(50)))
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        say(connection.scalar(text("SELECT @@transaction_isolation")), connection.scalar(select(func.sum(counts.c.n))))
    with engine.connect() as connection:
        say(connection.scalar(text("SELECT @@transaction_isolation")))
        try:
            connection.execute(text("SELECT nosuch FROM nosuch"))
        except ProgrammingError as error:
            say(error.orig.args[0])


def reflection(engine):
    seen = inspect(engine)
    for table in sorted(seen.get_table_names()):
        say(table, [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)])
        say(seen.get_pk_constraint(table), seen.get_indexes(table), seen.get_foreign_keys(table), seen.get_unique_constraints(table))
    meta = MetaData()
    meta.reflect(engine)
    say(sorted(meta.tables))
    Base.metadata.drop_all(engine)
    say(inspect(engine).get_table_names())


def settings():
    """A pool whose connections are set up as applications do it."""
    engine = create_engine(URL, pool_pre_ping=True, pool_size=2, pool_recycle=3600)

    @event.listens_for(engine, "connect")
    def set_up(connection, _):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'TRADITIONAL,ANSI_QUOTES', time_zone = '+00:00', @app = 'shop'")

    for _ in range(5):
        with engine.connect() as one, engine.connect() as two:
            for connection in (one, two):
                say(connection.execute(text('SELECT "q", @@time_zone, @app, @@sql_mode FROM (SELECT 1 AS q) t')).all())


engine = create_engine(URL, pool_pre_ping=True)
say(engine.connect().dialect.server_version_info)
orm(engine)
core(engine)
reflection(engine)
settings()
say("all is well")
