/* On the board this makes Serial the USB port; here it is that anyway. */
#pragma once
