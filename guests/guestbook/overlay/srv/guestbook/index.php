<?php
// The guestbook: POST `text` to write into it, GET to read it, one entry a line.
declare(strict_types=1);

header('Content-Type: text/plain; charset=utf-8');
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

function refuse(int $status, string $why): never
{
    http_response_code($status);
    exit("$why\n");
}

try {
    // The database knows the web server's user by the socket it comes from; there is no password.
    $book = new mysqli('localhost', 'www-data', '', 'guestbook');
    $book->set_charset('utf8mb4');

    switch ($_SERVER['REQUEST_METHOD']) {
        case 'GET':
        case 'HEAD':
            foreach ($book->query('SELECT text FROM entries ORDER BY id') as $entry) {
                echo $entry['text'], "\n";
            }
            break;
        case 'POST':
            $text = $_POST['text'] ?? '';
            if (!is_string($text) || trim($text) === '') {
                refuse(400, 'The field `text` is missing.');
            }
            $book->execute_query('INSERT INTO entries (text) VALUES (?)', [$text]);
            echo "Thanks for your post!\n";
            break;
        default:
            header('Allow: GET, HEAD, POST');
            refuse(405, 'This book can be read (GET) and written into (POST).');
    }
} catch (mysqli_sql_exception $error) {
    error_log((string) $error);
    refuse(503, 'The book is not at hand.');
}
