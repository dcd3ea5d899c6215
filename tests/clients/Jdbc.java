// MariaDB Connector/J, run by tests/clients.rs as `java Jdbc.java`. Prints all it sees: what it prints
// through Highwater must be what it prints straight at the primary.

import java.io.ByteArrayInputStream;
import java.math.BigDecimal;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.Arrays;
import java.util.Properties;

class Jdbc {
    static String url;
    static String schema;
    static Properties account = new Properties();

    public static void main(String[] arguments) throws Exception {
        schema = arguments[4];
        url = "jdbc:mariadb://" + arguments[0] + ":" + arguments[1] + "/" + schema;
        account.put("user", arguments[2]);
        account.put("password", arguments[3]);
        // Its only deviation from the defaults: the account's proof goes over plain TCP.
        account.put("allowPublicKeyRetrieval", "true");
        try (Connection connection = connect()) {
            types(connection);
            transactions(connection);
            session(connection);
            routines(connection);
        }
        for (String server : new String[] {"false", "true"}) {
            try (Connection connection = connect("useServerPrepStmts", server)) {
                prepared(connection, server);
            }
        }
        try (Connection connection = connect("rewriteBatchedStatements", "true")) {
            batch(connection);
        }
        try (Connection connection = connect("allowMultiQueries", "true", "allowLocalInfile", "true")) {
            several(connection);
            file(connection);
            streamed(connection);
        }
        errors();
        System.out.println("all is well");
    }

    static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.putAll(account);
        for (int at = 0; at < options.length; at += 2) {
            properties.put(options[at], options[at + 1]);
        }
        return DriverManager.getConnection(url, properties);
    }

    static void say(String what, Object seen) {
        System.out.println(what + " " + seen);
    }

    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    /** All rows, with the columns' names and types. */
    static String rows(ResultSet result) throws SQLException {
        ResultSetMetaData columns = result.getMetaData();
        StringBuilder text = new StringBuilder();
        for (int column = 1; column <= columns.getColumnCount(); column++) {
            text.append(columns.getColumnLabel(column)).append(':').append(columns.getColumnTypeName(column)).append(' ');
        }
        while (result.next()) {
            text.append('|');
            for (int column = 1; column <= columns.getColumnCount(); column++) {
                Object value = result.getObject(column);
                text.append(value instanceof byte[] bytes ? Arrays.toString(bytes) : value).append(',');
            }
        }
        return text.toString();
    }

    static String query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            return rows(result);
        }
    }

    static void types(Connection connection) throws SQLException {
        run(connection, "CREATE TABLE types (id INT PRIMARY KEY AUTO_INCREMENT, i BIGINT, u BIGINT UNSIGNED, d DECIMAL(30,10), "
            + "f DOUBLE, s VARCHAR(100), b BLOB, day DATE, at DATETIME(6), t TIME, n INT)");
        String insert = "INSERT INTO types VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
            statement.setLong(1, Long.MIN_VALUE);
            statement.setBigDecimal(2, new BigDecimal("18446744073709551615"));
            statement.setBigDecimal(3, new BigDecimal("12345678901234567890.0123456789"));
            statement.setDouble(4, 1.5);
            statement.setString(5, "d\u00e9j\u00e0 vu");
            statement.setBytes(6, new byte[] {0, -1, 39, 92});
            statement.setString(7, "2024-02-29");
            statement.setTimestamp(8, Timestamp.valueOf("2024-02-29 01:02:03.000004"));
            statement.setString(9, "12:34:56");
            statement.setNull(10, Types.INTEGER);
            for (int row = 0; row < 2; row++) {
                say("inserted", statement.executeUpdate());
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    say("key", rows(keys));
                }
            }
        }
        say("types", query(connection, "SELECT * FROM types ORDER BY id"));
        say("tables", rows(connection.getMetaData().getTables(schema, null, "ty%", null)));
        say("keys", rows(connection.getMetaData().getPrimaryKeys(schema, null, "types")));
    }

    static void transactions(Connection connection) throws SQLException {
        run(connection, "CREATE TABLE money (id INT PRIMARY KEY, n INT)");
        connection.setAutoCommit(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        run(connection, "INSERT INTO money VALUES (1, 10)");
        Savepoint savepoint = connection.setSavepoint("here");
        run(connection, "UPDATE money SET n = 99");
        connection.rollback(savepoint);
        say("inside", query(connection, "SELECT * FROM money"));
        connection.rollback();
        say("rolled back", query(connection, "SELECT COUNT(*) FROM money"));
        run(connection, "INSERT INTO money VALUES (1, 10)");
        connection.commit();
        connection.setReadOnly(true);
        say("read only", query(connection, "SELECT n FROM money"));
        connection.commit();
        connection.setReadOnly(false);
        connection.setAutoCommit(true);
        say("isolation", connection.getTransactionIsolation());
        for (int round = 0; round < 20; round++) {
            run(connection, "UPDATE money SET n = n + 1");
            String seen = query(connection, "SELECT n FROM money");
            if (!seen.endsWith("|" + (11 + round) + ",")) {
                throw new AssertionError(round + ": " + seen);
            }
        }
    }

    static void session(Connection connection) throws SQLException {
        connection.setCatalog("information_schema");
        say("catalog", query(connection, "SELECT DATABASE()"));
        run(connection, "USE " + schema);
        say("catalog", connection.getCatalog() + query(connection, "SELECT DATABASE()"));
        run(connection, "SET @mine = 'kept', time_zone = '+05:30'");
        say("state", query(connection, "SELECT @mine, @@time_zone, @@autocommit, @@transaction_isolation"));
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("CREATE TABLE warned (v VARCHAR(3))");
            statement.execute("INSERT IGNORE INTO warned VALUES ('abcdef')");
            say("warnings", statement.getWarnings().getMessage());
        }
        say("valid", connection.isValid(5));
    }

    static void routines(Connection connection) throws SQLException {
        run(connection, "CREATE PROCEDURE twice(IN a INT, OUT b INT) BEGIN SELECT a AS given; SET b = 2 * a; SELECT b AS twice; END");
        try (CallableStatement call = connection.prepareCall("{call twice(?, ?)}")) {
            for (int round = 1; round <= 2; round++) {
                call.setInt(1, 20 + round);
                call.registerOutParameter(2, Types.INTEGER);
                boolean more = call.execute();
                while (more) {
                    say("result", rows(call.getResultSet()));
                    more = call.getMoreResults();
                }
                say("out", call.getInt(2));
            }
        }
    }

    static void prepared(Connection connection, String server) throws SQLException {
        run(connection, "DROP TABLE IF EXISTS prepared");
        run(connection, "CREATE TABLE prepared (id INT PRIMARY KEY, v VARCHAR(50), b LONGBLOB)");
        byte[] large = new byte[300_000];
        Arrays.fill(large, (byte) 'x');
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO prepared VALUES (?, ?, ?)");
             PreparedStatement read = connection.prepareStatement("SELECT v, LENGTH(b), ? FROM prepared WHERE id = ?")) {
            for (int id = 0; id < 50; id++) {
                insert.setInt(1, id);
                insert.setString(2, id % 3 == 0 ? null : "value " + id);
                insert.setBinaryStream(3, new ByteArrayInputStream(large, 0, id * 5_000));
                insert.executeUpdate();
                read.setString(1, "p" + id);
                read.setInt(2, id);
                try (ResultSet result = read.executeQuery()) {
                    say("prepared " + server, rows(result));
                }
            }
            run(connection, "ALTER TABLE prepared MODIFY v VARCHAR(100), ADD COLUMN w INT");
            read.setString(1, "after");
            read.setInt(2, 1);
            try (ResultSet result = read.executeQuery()) {
                say("after DDL", rows(result));
            }
        }
    }

    static void batch(Connection connection) throws SQLException {
        run(connection, "CREATE TABLE batched (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20))");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batched (v) VALUES (?)")) {
            for (int id = 0; id < 1_000; id++) {
                insert.setString(1, "value " + id);
                insert.addBatch();
            }
            say("batch", insert.executeBatch().length);
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE batched SET v = 'x' WHERE id <= 10");
            statement.addBatch("DELETE FROM batched WHERE id > 990");
            say("mixed", Arrays.toString(statement.executeBatch()));
        }
        say("sum", query(connection, "SELECT COUNT(*), COUNT(DISTINCT v), MAX(id) FROM batched"));
    }

    static void several(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            boolean rows = statement.execute("CREATE TABLE many (v INT); INSERT INTO many VALUES (1), (2); SELECT * FROM many; "
                + "UPDATE many SET v = 3; SELECT SUM(v) FROM many");
            for (;;) {
                if (rows) {
                    say("several", rows(statement.getResultSet()));
                } else if (statement.getUpdateCount() == -1) {
                    break;
                } else {
                    say("several", statement.getUpdateCount());
                }
                rows = statement.getMoreResults();
            }
        }
    }

    static void file(Connection connection) throws SQLException {
        run(connection, "CREATE TABLE lines_of (id INT PRIMARY KEY, v VARCHAR(20))");
        StringBuilder lines = new StringBuilder();
        for (int id = 0; id < 20_000; id++) {
            lines.append(id).append("\tline ").append(id).append('\n');
        }
        try (Statement statement = connection.createStatement()) {
            statement.unwrap(org.mariadb.jdbc.MariaDbStatement.class)
                .setLocalInfileInputStream(new ByteArrayInputStream(lines.toString().getBytes()));
            say("loaded", statement.executeUpdate("LOAD DATA LOCAL INFILE 'given' INTO TABLE lines_of"));
        }
        say("sum", query(connection, "SELECT COUNT(*), SUM(id) FROM lines_of"));
    }

    static void streamed(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(100);
            long rows = 0;
            String sql = "SELECT a.id, REPEAT('x', 50) FROM lines_of a JOIN lines_of b WHERE b.id < 5";
            try (ResultSet result = statement.executeQuery(sql)) {
                while (result.next()) {
                    rows += result.getString(2).length();
                }
            }
            say("streamed", rows);
        }
    }

    static void errors() throws SQLException {
        try (Connection connection = connect()) {
            // What a connection wrote itself it sees with all that was written before.
            run(connection, "INSERT INTO money VALUES (2, 20)");
            String[] wrong = {"SELEC 1", "SELECT nosuch FROM money", "SELECT * FROM nosuch", "INSERT INTO money VALUES (1, 1)",
                "CALL nosuch()", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 5000"};
            for (String sql : wrong) {
                try {
                    run(connection, sql);
                    throw new AssertionError(sql + ": no error");
                } catch (SQLException error) {
                    // The driver puts the connection's number in front.
                    String text = error.getMessage().replaceFirst("\\(conn=\\d+\\)", "");
                    say("refused", error.getErrorCode() + " " + error.getSQLState() + text);
                }
            }
        }
        account.put("password", "wrong");
        try (Connection connection = connect()) {
            throw new AssertionError("no error");
        } catch (SQLException error) {
            say("login", error.getErrorCode() + " " + error.getSQLState());
        }
    }
}
