//! What the admin port tells: one struct a table. The sentences here are what users read.

use super::table::tables;

tables! {
    /// The servers: role, health, lag, and what this proxy has there.
    BackendRow = "backends" {
        /// Its number; 0 is the primary.
        id: u64,
        /// host:port as configured.
        address: String,
        /// primary or replica.
        role: &'static str,
        /// online; draining after DRAIN BACKEND: it gets no new reads; leaving after a reload took it away.
        state: &'static str,
        /// up, or why it gets no statements.
        health: &'static str,
        /// How far it is behind the primary at most, in milliseconds; NULL while unknown.
        lag_ms: Option<f64>,
        /// mysql or mariadb; NULL before its first answer.
        engine: Option<&'static str>,
        /// Its version; NULL before its first answer.
        version: Option<String>,
        /// Connections that sessions hold there now.
        connections: u64,
        /// Sessions that wait in line for one.
        waiting: u64,
        /// Settings that take levels away from it; empty if none does.
        flaws: String,
    }

    /// The clients: who, from where, and what they are doing.
    SessionRow = "sessions" {
        /// The connection id that the client was given; KILL takes it.
        id: u64,
        /// The account.
        user: String,
        /// The client's address.
        host: String,
        /// Its default schema.
        db: Option<String>,
        /// running, or idle while it waits for its client.
        state: &'static str,
        /// For how many seconds.
        seconds: u64,
        /// The server that runs its statement now.
        running_on: Option<String>,
        /// Its connection's thread id on the primary; NULL if it holds none.
        primary_thread: Option<u64>,
        /// The replica that it holds a connection to.
        replica: Option<String>,
        /// That connection's thread id there.
        replica_thread: Option<u64>,
        /// What binds it to its connection; empty if nothing does.
        pins: String,
        /// Statements that it ran.
        statements: u64,
        /// Whether OFFLOAD lets its reads go to replicas: yes or no.
        offload: &'static str,
    }

    /// The connections of this proxy to each server.
    PoolRow = "pools" {
        /// host:port of the server.
        backend: String,
        /// session or transaction: for how long a session keeps a connection.
        mode: &'static str,
        /// Connections that are open.
        open: u64,
        /// Open ones that wait in the pool.
        idle: u64,
        /// Open ones that sessions keep between statements and give back when asked.
        lent: u64,
        /// Open ones that sessions need.
        leased: u64,
        /// Sessions that wait in line.
        waiting: u64,
        /// The most that may be open; of the primary, no more than primary_max_connections_pct of its own.
        max: u64,
        /// Connections given back as they were, with their state known.
        handed_on: u64,
        /// Connections given back by a reset.
        reset: u64,
        /// Connections that were given another session's state by commands.
        restored: u64,
        /// Connections that sessions were asked to give back.
        recalled: u64,
    }

    /// How much of the primary's history each server is known to have.
    PositionRow = "positions" {
        /// host:port of the server.
        backend: String,
        /// primary or replica.
        role: &'static str,
        /// Its server_uuid, or what stands for it; NULL before its first answer.
        server_uuid: Option<String>,
        /// Which life of the server this is, counted from 1 by this proxy.
        generation: Option<u64>,
        /// gtid, mariadb_gtid, aurora_lsn, binlog or none: what it tells of its history.
        kind: &'static str,
        /// A read that starts now sees at least this; NULL while nothing is known.
        applied: Option<String>,
        /// How many transactions it lacks at most of what the primary is known to have; without GTIDs, bytes of
        /// its log. NULL while unknown.
        behind: Option<u64>,
        /// How far it is behind at most, in milliseconds.
        lag_ms: Option<f64>,
        /// Transactions of its own that the primary does not know.
        errant: u64,
    }

    /// What binds sessions to their connection to the primary.
    PinRow = "pins" {
        /// The session.
        session: u64,
        /// Its account.
        user: String,
        /// The kind of pin.
        reason: &'static str,
        /// What that means, and how it ends.
        why: &'static str,
        /// The digest of the statement that did it; NULL if it was not read.
        digest: Option<String>,
        /// That statement without its literals; NULL if it is not remembered.
        statement: Option<String>,
        /// For how many seconds.
        seconds: u64,
    }

    /// Statement shapes since the start, the most time first.
    DigestRow = "digests" {
        /// The digest; NULL for everything that is not remembered one by one.
        digest: Option<String>,
        /// The statement without its literals.
        statement: String,
        /// read, primary_read, write, session and so on.
        class: &'static str,
        /// How often it ran.
        count: u64,
        /// How often it ended with an error.
        errors: u64,
        /// How often the primary answered.
        primary: u64,
        /// How often a replica answered.
        replica: u64,
        /// How often Highwater answered.
        proxy: u64,
        /// The most frequent reason for where it went.
        reason: &'static str,
        /// All its time together, in milliseconds, waits included.
        total_ms: f64,
        /// Its time at the mean, in milliseconds.
        avg_ms: f64,
        /// The longest one, in milliseconds.
        max_ms: f64,
        /// Rows that servers sent.
        row_count: u64,
        /// Bytes of replies.
        bytes: u64,
        /// How often it waited for a replica to catch up.
        waits: u64,
        /// How long it did so, in milliseconds.
        waited_ms: f64,
        /// How often it bound its session to a connection.
        pins: u64,
    }

    /// What keeps reads from being offloaded: the shapes that went to the primary, why, and what would change it.
    AdviceRow = "advice" {
        /// The digest; NULL for everything that is not remembered one by one.
        digest: Option<String>,
        /// The statement without its literals.
        statement: String,
        /// How often the primary ran it for this reason.
        count: u64,
        /// Its part of all that the primary ran and that is no plain write, in percent.
        share: f64,
        /// The reason.
        reason: &'static str,
        /// The same as a sentence.
        why: &'static str,
        /// What would let a replica answer.
        change: &'static str,
    }

    /// The last statements of a session, the newest first.
    RouteRow = "route" {
        /// The session.
        session: u64,
        /// How many milliseconds ago it ended.
        ago_ms: u64,
        /// The digest; NULL if the statement was not read.
        digest: Option<String>,
        /// The statement without its literals; NULL if it is not remembered.
        statement: Option<String>,
        /// read, primary_read, write, session and so on.
        class: &'static str,
        /// The level in force for it.
        level: &'static str,
        /// primary, replica or proxy: who answered.
        target: &'static str,
        /// Which server.
        backend: Option<String>,
        /// Why there.
        reason: &'static str,
        /// The same as a sentence.
        why: &'static str,
        /// done or failed.
        outcome: &'static str,
        /// How long it waited for a server to catch up, in microseconds.
        waited_us: u64,
        /// How long it took in all, in microseconds.
        took_us: u64,
        /// What its level demanded of the server, else its session's own writes and reads, in short; NULL for nothing.
        needed: Option<String>,
    }

    /// The rules in force, in their order.
    RuleRow = "rules" {
        /// Its place.
        number: u64,
        /// Its name.
        name: String,
        /// What it does with the statements that it matches.
        act: String,
        /// Whether it only counts: yes or no.
        count_only: &'static str,
        /// How often it matched.
        hits: u64,
        /// How often it refused a statement.
        denied: u64,
        /// How often it refused one because its limit was reached.
        limited: u64,
        /// How often one waited for its turn under that limit.
        delayed: u64,
        /// How often it changed a text.
        rewritten: u64,
        /// How often it stopped a statement that took too long.
        timed_out: u64,
        /// Reads that its mirror was sent.
        mirrored: u64,
        /// Reads of the mirror's share that were not sent: it was too slow, or they cannot be repeated.
        not_mirrored: u64,
    }

    /// The configuration in force; passwords show as where they were read from.
    ConfigRow = "config" {
        /// table.key.
        name: String,
        /// The value.
        value: String,
    }

    /// What can be switched at run time.
    SwitchRow = "switches" {
        /// Its name.
        name: &'static str,
        /// Its state.
        value: String,
        /// The command that changes it.
        command: &'static str,
    }
}
