# Stands in for OpenWrt's rc.common, functions.sh, procd.sh and uci, under $ROOT: `sh rc.sh SCRIPT COMMAND` prints what procd is
# told, a line each; `sh rc.sh SCRIPT` sources the script as the set-up at the first start does.
#
#   $ROOT/log      gets what is logged
#   $ROOT/running  exists while procd has a running instance
#   $ROOT/uci      what uci knows, in lines as `uci show` has them, without quotes

logger() {
	while [ $# -gt 1 ]; do
		shift
	done
	echo "$1" >>"$ROOT/log"
}

uci() {
	[ "$1 $2" = "-q get" ] || return 2
	local key value
	while IFS='=' read -r key value; do
		if [ "$key" = "$3" ]; then
			echo "$value"
			return 0
		fi
	done <"$ROOT/uci"
	return 1
}

extra_command() {
	commands="$commands $1"
}

config_load() {
	local line name=''
	while IFS= read -r line; do
		eval "set -- $line"
		case "$1" in
		config) name=${3:-cfg} sections="$sections $2:$name" ;;
		option) eval "option_${name}_$2='$3'" ;;
		esac
	done <"$ROOT/etc/config/$1"
}

config_foreach() {
	local section
	for section in $sections; do
		[ "${section%%:*}" != "$2" ] || "$1" "${section#*:}"
	done
}

config_get() {
	eval "$1=\${option_$2_$3-$4}"
}

config_get_bool() {
	local value
	eval "value=\${option_$2_$3-$4}"
	case "$value" in
	1|on|true|yes|enabled) eval "$1=1" ;;
	*) eval "$1=0" ;;
	esac
}

# Nobody waits here.
sleep() { :; }
procd_running() { [ -e "$ROOT/running" ]; }
procd_open_instance() { echo open; }
procd_set_param() { echo "$*"; }
procd_append_param() { echo "$*"; }
procd_add_jail() { echo "jail $*"; }
procd_close_instance() { echo close; }
procd_add_reload_trigger() { echo "trigger $*"; }

script=$1 action=$2
[ -n "$action" ] || {
	( . "$script" ) && rm -f "$script"
	exit
}
. "$script"
start() {
	start_service
	service_triggers
}
stop() {
	echo kill
	service_stopped
}
restart() {
	stop
	start
}
case "$action" in
start|stop) "$action" ;;
reload)
	if type reload_service >/dev/null 2>&1; then
		reload_service
	else
		start
	fi
	;;
status) status_service ;;
*)
	case " $commands " in
	*" $action "*) "$action" ;;
	*) exit 2 ;;
	esac
	;;
esac
