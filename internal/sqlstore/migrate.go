package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date from the folder of its engine.
func migrate(ctx context.Context, db *sql.DB, engine goose.Dialect, folder string, log *slog.Logger, opts ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(engine, db, files, append(opts, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := known(ctx, provider); err != nil {
		return err
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	for _, m := range applied {
		log.Info("schema migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}

// known refuses a database that this program does not know: a newer one may hold what this one would destroy, and one that lacks
// a step before its last was made by a version that never was released.
func known(ctx context.Context, provider *goose.Provider) error {
	steps := provider.ListSources()
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	const remedy = "start the version of grapnel that the database was last used with, or a later one, or begin with another database"
	if newest := steps[len(steps)-1].Version; version > newest {
		return fmt.Errorf("the database has schema %d and this version of grapnel knows %d: %s", version, newest, remedy)
	}
	missing, err := provider.Status(ctx)
	if err != nil {
		return fmt.Errorf("read the steps of the schema: %w", err)
	}
	for _, step := range missing {
		if step.State == goose.StatePending && step.Source.Version < version {
			return fmt.Errorf("the database has schema %d without step %d: %s", version, step.Source.Version, remedy)
		}
	}
	return nil
}
