# Take a snapshot of Redis as it is at one moment, see that it can be read, and keep the newest ones.
#
# The server forks and writes what it held at the fork, as for a replica: every write that it answered before is in it, and
# nothing half done. Copying the append-only file while it is written would not give that.
set -eu
: "${BACKUPS:=/backups}" "${REDIS:=redis://redis:6379}" "${KEEP:=14}"
umask 077
name="$BACKUPS/cxr-$(date -u +%Y%m%dT%H%M%SZ).rdb"
rm -f "$BACKUPS"/cxr-*.part # of a run that was killed
trap 'rm -f "$name.part"' EXIT
redis-cli -u "$REDIS" --no-auth-warning --rdb "$name.part"
redis-check-rdb "$name.part"
mv "$name.part" "$name"
find "$BACKUPS" -name 'cxr-*.rdb' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do rm -f "$old"; done
echo "kept $name"
