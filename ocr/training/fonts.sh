#!/bin/sh
# Unpacks the fonts and the word list that the model is trained on: `fonts.sh FOLDER`.
# Needs a Debian with package sources, no rights, and installs nothing. All are free of the GPL: OFL, Apache 2.0,
# MIT, BSD, Bitstream Vera, CC0, X11 and public domain; the GPL that a copyright file names is that of the packaging.
set -eu
folder=${1:?which folder?}
mkdir -p "$folder/packages"
cd "$folder/packages"
apt-get download \
    console-setup-linux fonts-adobe-sourcesans3 fonts-agave fonts-anonymous-pro fonts-cantarell fonts-clear-sans \
    fonts-crosextra-caladea fonts-crosextra-carlito fonts-croscore fonts-dejavu-core fonts-dejavu-extra \
    fonts-droid-fallback fonts-fantasque-sans fonts-firacode fonts-go fonts-hack fonts-inconsolata fonts-inter \
    fonts-jetbrains-mono fonts-lato fonts-league-mono fonts-liberation2 fonts-manrope fonts-monoid fonts-mononoki \
    fonts-mplus fonts-noto-core fonts-noto-mono fonts-open-sans fonts-proggy fonts-roboto-slab \
    fonts-roboto-unhinted fonts-spleen fonts-terminus-otb scowl xfonts-100dpi xfonts-75dpi xfonts-base xfonts-terminus
for package in *.deb; do
    dpkg-deb -x "$package" ..
done
