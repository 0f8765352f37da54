/**
 * A disk of 190 MiB with an image of 50 MiB that nobody used for a month. 128 MiB are kept in reserve, so 12 MiB are
 * free for others.
 */
export const WITH_AN_OLD_IMAGE = `
mount -t tmpfs -o size=190m tmpfs $TART_HOME
old=$TART_HOME/cache/OCIs/registry.corp%3A8221/macos/base/sha256:${'a'.repeat(64)}
mkdir -p $old
for file in config.json nvram.bin .last-used; do echo '{}' > $old/$file; done
head -c 50M /dev/zero | tr '\\0' x > $old/disk.img
ln -s $old $(dirname $old)/14
touch -d '30 days ago' $old/.last-used
`;
