# Ends what a test process started, whatever ended the test process. $1: marker in the environment of its children.
# stdin: one line for each folder to remove. It ends when the test process does: the kernel closes the pipe, also
# after kill -9 or a panic. The marker also finds grandchildren and what was started in the very last moment.
trap '' INT TERM HUP
folders=
while IFS= read -r line; do
  folders="$folders$line
"
done
round=0
while [ "$round" -lt 40 ]; do
  round=$((round + 1))
  pids=$(grep -ls -- "$1" /proc/[0-9]*/environ | cut -d / -f 3)
  [ -n "$pids" ] || break
  kill -KILL $pids 2>/dev/null
  sleep 0.05
done
printf '%s' "$folders" | while IFS= read -r folder; do
  rm -rf -- "$folder"
done
