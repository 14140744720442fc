package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// openPostgres shares one pgx pool between GORM and COPY.
func openPostgres(ctx context.Context, url string, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.MaxConns = int32(o.MaxConns)
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 20
	}
	params := cfg.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	if params["application_name"] == "" {
		params["application_name"] = "assent"
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach PostgreSQL: %w", err)
	}
	conn := stdlib.OpenDBFromPool(pool)
	conn.SetMaxIdleConns(0) // the pool keeps the idle ones
	g, err := gorm.Open(postgresDialect{&postgres.Dialector{Config: &postgres.Config{Conn: conn}}}, gormConfig(o))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return &DB{dialect: Postgres, writer: g, reader: g, pool: pool, close: func() error {
		err := conn.Close()
		pool.Close()
		return err
	}}, nil
}

// postgresDialect is GORM's own, but for what it says of statements.
type postgresDialect struct{ *postgres.Dialector }

// Explain implements gorm.Dialector: see unsaid.
func (postgresDialect) Explain(statement string, _ ...any) string { return unsaid(statement) }
