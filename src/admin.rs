//! What operators and their tools reach: the HTTP port, and the SQL port with its tables. Both know the
//! proxy by what whoever made it lets them ask: [`house::House`].

pub mod house;
pub mod http;
pub mod manual;
pub mod sql;
pub mod table;
pub mod tables;
