# Put a snapshot in the place of Redis' data. Redis must not run.
#
# With `appendonly yes` Redis reads appendonlydir/ and never dump.rdb: a snapshot copied there as dump.rdb would be ignored and
# Redis would start empty. So the snapshot becomes the base of a new append-only file, named by a manifest.
set -eu
: "${BACKUPS:=/backups}" "${DATA:=/data}" "${SNAPSHOT:=latest}"
umask 077
if [ "$SNAPSHOT" = latest ]; then
  SNAPSHOT=$(find "$BACKUPS" -name 'cxr-*.rdb' | sort | tail -n 1)
  SNAPSHOT=${SNAPSHOT##*/}
fi
test -s "$BACKUPS/$SNAPSHOT" || { echo "expected a snapshot of $BACKUPS, got '$SNAPSHOT'; there are:"; ls "$BACKUPS"; exit 1; }
redis-check-rdb "$BACKUPS/$SNAPSHOT"
rm -rf "$DATA/restoring"
mkdir "$DATA/restoring"
cp "$BACKUPS/$SNAPSHOT" "$DATA/restoring/appendonly.aof.1.base.rdb"
echo "file appendonly.aof.1.base.rdb seq 1 type b" > "$DATA/restoring/appendonly.aof.manifest"
sync
if [ -d "$DATA/appendonlydir" ]; then
  mv "$DATA/appendonlydir" "$DATA/replaced-$(date -u +%Y%m%dT%H%M%SZ)"
fi
mv "$DATA/restoring" "$DATA/appendonlydir"
echo "restored $SNAPSHOT"
