"""From stored numbers to delivered values: conversion, masks, CF decoding."""
