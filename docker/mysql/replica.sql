-- Read once, by each empty replica of compose.yml: forget what the first start wrote, and follow the primary from
-- its beginning. Replication starts with the server's next start, which comes right after this.
RESET BINARY LOGS AND GTIDS;
CHANGE REPLICATION SOURCE TO
    SOURCE_HOST = 'primary',
    SOURCE_USER = 'replica',
    SOURCE_PASSWORD = 'replica',
    SOURCE_AUTO_POSITION = 1,
    SOURCE_CONNECT_RETRY = 1,
    SOURCE_RETRY_COUNT = 86400,
    GET_SOURCE_PUBLIC_KEY = 1;
SET PERSIST super_read_only = ON;
