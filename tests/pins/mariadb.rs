//! What MariaDB does otherwise.

use highwater::rig::{Cluster, Engine};

use crate::script::{compare, leave, reference_answers, steps};
use crate::support::Setup;

const SCRIPT: &str = "
    p - CREATE TABLE t (id INT PRIMARY KEY)
    p - INSERT INTO t VALUES (1)
    p temporary_table CREATE TEMPORARY TABLE a (id INT)
    r temporary_table SELECT COUNT(*) FROM t
    p temporary_table RENAME TABLE a TO b
    p temporary_table SELECT COUNT(*) FROM b
    p temporary_table CREATE OR REPLACE TEMPORARY TABLE b (id INT, v INT)
    p temporary_table SELECT v FROM b
    p - DROP TABLE b
    r - SELECT COUNT(*) FROM t
    p - SET @a = 5, @b = 'x', @c = NULL
    r - SELECT @a, @b, @c, COLLATION(@b), COERCIBILITY(@b)
    p user_variable EXECUTE IMMEDIATE 'SET @d = NOW()'
    p - EXECUTE IMMEDIATE 'SET @d = 1'
    r - SELECT @d
    p table_lock BACKUP STAGE START
    p - BACKUP STAGE END
    p named_lock SELECT GET_LOCK('hw_m', 0)
    p - SELECT RELEASE_LOCK('hw_m')
    p xa XA START 'm'
    p xa INSERT INTO t VALUES (2)
    p xa XA END 'm'
    p xa XA PREPARE 'm'
    p - XA COMMIT 'm'
    r - SELECT COUNT(*) FROM t
    p handler HANDLER t OPEN
    p - HANDLER t CLOSE
    p text_prepared PREPARE s FROM 'SELECT 1'
    p text_prepared EXECUTE s
    p - DEALLOCATE PREPARE s
    p - CREATE OR REPLACE PROCEDURE p() DO 1
    p - CREATE OR REPLACE PROCEDURE q() CREATE TEMPORARY TABLE made AS SELECT 5 AS five
    p unknown CALL p()
    r unknown SELECT COUNT(*) FROM t
    p unknown CALL q()
    p temporary_table,unknown SELECT five FROM made
    p temporary_table,unknown DROP TABLE t";

#[tokio::test]
async fn pins_on_mariadb() {
    let builder = Cluster::builder().engine(Engine::MariaDb).replicas(1);
    let setup = Setup::with(builder, |_| {}).await;
    let direct = setup.cluster.primary().connect(&highwater::rig::APP);
    let expected = reference_answers(direct.await.unwrap(), &steps(SCRIPT)).await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut client = setup.connect().await;
    let wrong = compare(
        &setup,
        &mut client,
        &steps(SCRIPT),
        &expected,
        ("app", "app"),
    )
    .await;
    leave(&setup, client).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
