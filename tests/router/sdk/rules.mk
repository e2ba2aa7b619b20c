# With its neighbours here, what stands in for OpenWrt's SDK: enough to lay out a package in $(OUT).
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_CONF:=install -m0600
INSTALL_DATA:=install -m0644
CP:=cp -fpR
