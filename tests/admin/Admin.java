// MariaDB Connector/J at the admin port, run by tests/admin/stock.rs as `java Admin.java host port`.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;

class Admin {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mariadb://" + arguments[0] + ":" + arguments[1] + "/highwater?user=admin";
        for (String server : new String[] {"false", "true"}) {
            try (Connection connection = DriverManager.getConnection(url + "&useServerPrepStmts=" + server)) {
                look(connection);
            }
        }
        System.out.println("all is well");
    }

    static void look(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        System.out.println("valid " + connection.isValid(5));
        System.out.println("catalog " + connection.getCatalog());
        System.out.println("product " + connection.getMetaData().getDatabaseProductName());
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SHOW BACKENDS");
            ResultSetMetaData about = rows.getMetaData();
            System.out.println("columns " + (about.getColumnCount() > 5) + " " + about.getColumnTypeName(1));
        }
        String sql = "SELECT id, role FROM backends WHERE role = ? ORDER BY id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (String role : new String[] {"primary", "replica"}) {
                statement.setString(1, role);
                ResultSet rows = statement.executeQuery();
                while (rows.next()) {
                    System.out.println(rows.getString("role") + " " + rows.getLong("id"));
                }
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("EXPLAIN ROUTE SELECT 1");
            statement.execute("NONSENSE");
        } catch (SQLException refused) {
            System.out.println("refused " + refused.getSQLState());
        }
        connection.rollback();
    }
}
