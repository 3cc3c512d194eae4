# The files that all scenarios may read: content, people's keys and certificates, keys in every form.
printf 'content' >file
printf 'other content\n' >other
printf '{"build":7,"platform":"linux"}' >canonical.json
printf 'no key' >junk.pem

p256() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256; }
paper() { openssl req -new -x509 -sha256 -days 700 -subj "/CN=$1" -key "$1.key" -out "$1.pem"; }

p256 >alice.key && paper alice
openssl genrsa -out bob.key 2048 2>/dev/null && paper bob
openssl ecparam -name secp384r1 -genkey -noout -out carol.key && paper carol
p256 >dave.key && openssl pkey -in dave.key -pubout -out dave-public.pem
openssl pkey -in bob.key -pubout -out bob-public.pem
openssl genpkey -algorithm ed25519 -out eddy.key && openssl req -new -x509 -days 700 -subj /CN=eddy -key eddy.key -out eddy.pem
openssl req -new -x509 -sha1 -days 700 -subj /CN=sha1 -key alice.key -out sha1.pem

openssl ec -in alice.key -out ec.key 2>/dev/null
openssl rsa -in bob.key -traditional -out rsa.key 2>/dev/null
openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -in dave.key -passout 'pass:delegation passphrase' -out sealed.key
openssl ec -in dave.key -aes256 -passout 'pass:delegation passphrase' -out legacy.key 2>/dev/null
cat ec.key rsa.key >two.key
