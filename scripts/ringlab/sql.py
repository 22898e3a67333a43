"""A connection to a server, with rows as dictionaries and errors that say what was asked.

Every connection has a read deadline: a stopped server must never hang a test.
"""

from .base import LabError

try:
    import pymysql
    from pymysql.constants import CLIENT
except ImportError:
    raise SystemExit("scripts/lab: PyMySQL is missing; run: scripts/servers install lab") from None


class SqlError(LabError):
    """`code` is the server's or the client's error number (2002, 2003, 2006, 2013: no connection)."""

    def __init__(self, code, text, sql=""):
        super().__init__(f"error {code}: {text}" + (f" [{sql[:120]}]" if sql else ""))
        self.code = code

    @property
    def lost(self):
        """The connection is gone: the server may or may not have carried the statement out."""
        return self.code in LOST or self.code == 0


LOST = {2002, 2003, 2006, 2013, 2014, 2055}


class Connection:
    def __init__(self, user, password="", socket=None, address=None, seconds=5.0):
        where = {"unix_socket": str(socket)} if socket else {"host": address[0], "port": address[1]}
        try:
            self.raw = pymysql.connect(user=user, password=password, autocommit=True, connect_timeout=seconds,
                                       read_timeout=seconds, write_timeout=seconds, client_flag=CLIENT.MULTI_STATEMENTS,
                                       cursorclass=pymysql.cursors.DictCursor, charset="utf8mb4", **where)
        except (pymysql.err.MySQLError, OSError, RuntimeError) as error:
            raise translate(error) from None

    def rows(self, sql):
        """The rows of the last result set (several statements may be joined by semicolons)."""
        try:
            with self.raw.cursor() as cursor:
                cursor.execute(sql)
                rows = cursor.fetchall()
                while cursor.nextset():
                    rows = cursor.fetchall()
                return list(rows)
        except (pymysql.err.MySQLError, OSError) as error:
            raise translate(error, sql) from None

    run = rows

    def value(self, sql):
        """The first column of the first row; None if there is no row."""
        rows = self.rows(sql)
        return next(iter(rows[0].values())) if rows else None

    def close(self):
        self.raw._force_close()  # without COM_QUIT: a server that is stopped would not take it

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def translate(error, sql=""):
    code, text = 0, str(error)
    if isinstance(error, pymysql.err.MySQLError) and error.args and isinstance(error.args[0], int):
        code, text = error.args[0], error.args[-1]
    return SqlError(code, text, sql)
