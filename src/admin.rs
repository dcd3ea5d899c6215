//! What operators and their tools reach: the HTTP port, and the SQL port with its tables. Both know the
//! proxy by what whoever made it lets them ask: [`house::House`].

pub mod house;
pub mod http;
mod live;
pub mod manual;
mod page;
pub mod sql;
pub mod table;
pub mod tables;
