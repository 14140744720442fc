package store

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// away is an error of a transaction whose database could not be asked.
type away struct{ error }

func (a away) Unwrap() error { return a.error }

// Away reports that the database could not be asked, or has no room, rather
// than that it was asked something wrong: it is down, starts, ends, takes no
// more connections, or its disk is full. The same may work in a while; where it
// was a change, it may also be done. Errors of anything else than a transaction
// are never that, whatever they say.
func Away(err error) bool {
	var a away
	return errors.As(err, &a)
}

// unreachable tells an error of a transaction that is the database's being away.
func unreachable(err error) bool {
	var dial *pgconn.ConnectError
	var pg *pgconn.PgError
	var wire *net.OpError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &pg): // 08 connection, 53 insufficient resources, 57P0x operator intervention, 58 system error (PostgreSQL manual, appendix A)
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "58")
	case errors.As(err, &lite):
		primary := lite.Code() & 0xff
		return primary == lib.SQLITE_FULL || primary == lib.SQLITE_IOERR || primary == lib.SQLITE_CANTOPEN || primary == lib.SQLITE_BUSY
	}
	return errors.As(err, &dial) || errors.As(err, &wire) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}
