-- Run once, when the image is built, by `mariadbd --bootstrap`: one statement a line.
FLUSH PRIVILEGES;
CREATE DATABASE guestbook CHARACTER SET utf8mb4;
CREATE TABLE guestbook.entries (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, text TEXT NOT NULL);
CREATE USER 'www-data'@'localhost' IDENTIFIED VIA unix_socket;
GRANT SELECT, INSERT ON guestbook.* TO 'www-data'@'localhost';
