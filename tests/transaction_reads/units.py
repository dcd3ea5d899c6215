"""PyMySQL with its defaults (autocommit off), run by tests/transaction_reads/clients.rs."""
import sys

import pymysql

host, port, user, password, schema, units = sys.argv[1:]
connection = pymysql.connect(host=host, port=int(port), user=user, password=password, database=schema)
assert connection.get_autocommit() is False
cursor = connection.cursor()
cursor.execute("CREATE TABLE p (id INT PRIMARY KEY, v INT)")
cursor.execute("INSERT INTO p VALUES (1, 0)")
connection.commit()
for unit in range(int(units)):
    cursor.execute("SELECT v FROM p WHERE id = %s", (1,))
    assert cursor.fetchone() == (unit,), "the last unit's commit is seen"
    cursor.execute("UPDATE p SET v = v + 1 WHERE id = 1")
    cursor.execute("SELECT v FROM p WHERE id = 1")
    assert cursor.fetchone() == (unit + 1,), "the own write is seen"
    connection.commit()
    cursor.execute("SELECT COUNT(*) FROM p")
    assert cursor.fetchone() == (1,)
    connection.rollback()
connection.close()
print("all is well")
