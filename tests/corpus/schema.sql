# The schema that the corpus's reads run against. One statement a line.
CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(40), j JSON, d DATETIME, k INT, pt POINT, KEY k (k), KEY kb (b))
CREATE TABLE u (id INT PRIMARY KEY, t_id INT, name VARCHAR(40), amount DECIMAL(10,2), created DATE, bin VARBINARY(64), KEY t_id (t_id))
CREATE TABLE docs (id INT PRIMARY KEY, title VARCHAR(80), body TEXT, FULLTEXT KEY ft (title, body))
CREATE TABLE p (id INT, y INT) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)
CREATE TABLE tree (id INT PRIMARY KEY, parent INT)
CREATE TABLE `select` (`from` INT, `update` INT, `into` INT)
CREATE VIEW v AS SELECT id, a, b FROM t
CREATE TABLE log (x INT)
CREATE PROCEDURE proc() SELECT 1
CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC READS SQL DATA RETURN (SELECT COUNT(*) FROM t) + x
CREATE TRIGGER trg BEFORE INSERT ON log FOR EACH ROW SET NEW.x = NEW.x
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1
INSERT INTO t (a, b, j, d, k, pt) VALUES (1, 'x', '{"a": 1, "b": [1, 2]}', '2024-01-01', 1, POINT(1, 1)), (2, 'y', '{}', '2024-01-02', 2, POINT(2, 2))
INSERT INTO u VALUES (1, 1, 'ann', 10.50, '2024-01-01', x'00ff'), (2, 2, 'bob', 20, '2024-01-02', NULL)
INSERT INTO docs VALUES (1, 'mysql', 'a database'), (2, 'proxy', 'a relay')
INSERT INTO p VALUES (1, 5), (2, 50)
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)
