"""PyMySQL with its defaults (autocommit off), run by tests/clients.rs."""
import sys

import pymysql
import pymysql.cursors

host, port, user, password, schema = sys.argv[1:]


def connect(**options):
    return pymysql.connect(
        host=host, port=int(port), user=user, password=password, database=schema, **options
    )


def cell(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


first = connect()
assert first.get_autocommit() is False
with first.cursor() as cursor:
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
    rows = [(number, "value %d" % number) for number in range(1000)]
    assert cursor.executemany("INSERT INTO t VALUES (%s, %s)", rows) == 1000
assert cell(first, "SELECT COUNT(*) FROM t") == 1000

other = connect(autocommit=True)
assert cell(other, "SELECT COUNT(*) FROM t") == 0, "not yet committed"
first.rollback()
assert cell(first, "SELECT COUNT(*) FROM t") == 0
with first.cursor() as cursor:
    cursor.executemany("INSERT INTO t VALUES (%s, %s)", rows)
first.commit()
assert cell(first, "SELECT COUNT(*) FROM t") == 1000
assert cell(first, "SELECT v FROM t WHERE id = %s", (7,)) == "value 7"

with first.cursor(pymysql.cursors.SSCursor) as cursor:
    cursor.execute("SELECT a.id FROM t a JOIN t b WHERE b.id < 200")
    assert sum(1 for _ in cursor) == 200000

try:
    cell(first, "SELECT nosuch FROM t")
    raise AssertionError("no error")
except pymysql.err.OperationalError as error:
    assert error.args[0] == 1054, error

first.select_db("mysql")
assert cell(first, "SELECT DATABASE()") == "mysql"
first.ping()
first.close()
other.close()
print("all is well")
