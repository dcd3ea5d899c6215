-- Read once, by the empty primary of compose.yml: accounts, which replicate, and a table to play with.
CREATE USER replica@'%' IDENTIFIED BY 'replica';
GRANT REPLICATION SLAVE ON *.* TO replica@'%';

-- The account of [monitor].
CREATE USER highwater@'%' IDENTIFIED BY 'highwater';
GRANT REPLICATION CLIENT ON *.* TO highwater@'%';

-- The account of the application.
CREATE USER app@'%' IDENTIFIED BY 'app';
CREATE DATABASE shop;
GRANT ALL ON shop.* TO app@'%';
CREATE TABLE shop.notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(200) NOT NULL);
INSERT INTO shop.notes (text) VALUES ('written by the primary''s first start');
